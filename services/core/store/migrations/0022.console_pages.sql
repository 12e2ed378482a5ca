-- What the console's pages look for among a million cases.
-- depends: 0016.anomalies 0017.reports 0018.staff

-- Cases are listed state by state: read by their turn alone, those of one state lie behind all of another. An expression,
-- for which no claim asks: planned by these indexes, it would step over all that wait behind others.
DROP INDEX review_items_in_order, review_items_of_queue;
CREATE INDEX review_items_in_order ON review_items ((state || ''), turn_at, item_id);
CREATE INDEX review_items_of_queue ON review_items (queue, (state || ''), turn_at, item_id);

-- Complaints that wait, by when they are due, and those of the watch's findings that were seen last.
CREATE INDEX review_items_complaints ON review_items (kind, due_at, item_id)
    WHERE kind <> 'content' AND state <> 'decided';
CREATE INDEX anomalies_seen ON anomalies (seen_at DESC, anomaly_id) WHERE seen_at IS NOT NULL;

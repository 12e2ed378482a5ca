-- What the console's pages look for among a million cases.
-- depends: 0016.anomalies 0022.complaints

-- Cases are listed state by state: read by their turn alone, those of one state lie behind all of another. An expression,
-- for which no claim asks: planned by these indexes, it would step over all that wait behind others.
DROP INDEX review_items_in_order, review_items_of_queue;
CREATE INDEX review_items_in_order ON review_items ((state || ''), turn_at, item_id);
CREATE INDEX review_items_of_queue ON review_items (queue, (state || ''), turn_at, item_id);

-- Those of the watch's findings that were seen last.
CREATE INDEX anomalies_seen ON anomalies (seen_at DESC, anomaly_id) WHERE seen_at IS NOT NULL;

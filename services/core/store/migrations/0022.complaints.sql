-- Open reports and appeals are listed by when they are due, a page at a time. One that is not routed yet is not due at
-- any time; it stands where it was recorded.
-- depends: 0011.queue

CREATE INDEX review_items_by_due ON review_items (kind, coalesce(due_at, created_at), item_id)
    WHERE state <> 'decided' AND kind <> 'content';

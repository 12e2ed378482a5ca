-- What the picture shall not show, as a person who judges a case needs to see it.
-- depends: 0004.policies

ALTER TABLE evidence DROP CONSTRAINT evidence_kind_check;
ALTER TABLE evidence ADD CONSTRAINT evidence_kind_check
    CHECK (kind IN ('prompt', 'negative_prompt', 'image', 'mask', 'answer'));

ALTER TABLE review_items ADD COLUMN negative_prompt uuid;
CREATE INDEX review_items_open_negative_prompt ON review_items (negative_prompt) WHERE state <> 'decided';

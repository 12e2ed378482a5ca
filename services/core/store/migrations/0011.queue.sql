-- What a queue needs: who judged what in which round, who is not offered what, cases of near-duplicates, comments,
-- previews of bulk decisions, and when an item must be routed again.
-- depends: 0006.negative_prompts 0010.desk

-- Room in each page for the next version of a row: a step of a case then touches no index that it need not.
ALTER TABLE review_items SET (fillfactor = 70);
-- When a route of the policy may move it for its age; NULL: never.
ALTER TABLE review_items ADD COLUMN reroute_at timestamptz;
CREATE INDEX review_items_to_reroute ON review_items (reroute_at) WHERE state = 'queued' AND reroute_at IS NOT NULL;

-- Without the rows that have none: every step of a case had to touch all four.
DROP INDEX review_items_open_prompt, review_items_open_negative_prompt, review_items_open_image, review_items_open_mask;
CREATE INDEX review_items_open_prompt ON review_items (prompt) WHERE state <> 'decided' AND prompt IS NOT NULL;
CREATE INDEX review_items_open_negative_prompt ON review_items (negative_prompt)
    WHERE state <> 'decided' AND negative_prompt IS NOT NULL;
CREATE INDEX review_items_open_image ON review_items (image) WHERE state <> 'decided' AND image IS NOT NULL;
CREATE INDEX review_items_open_mask ON review_items (mask) WHERE state <> 'decided' AND mask IS NOT NULL;

-- One person's judgement in one round. The rows of an item that is decided say how it came to it.
CREATE TABLE review_rounds (
    item_id uuid NOT NULL REFERENCES review_items,
    round smallint NOT NULL CHECK (round BETWEEN 1 AND 3),
    analyst text NOT NULL,
    resolution text NOT NULL CHECK (resolution IN ('release', 'uphold')),
    comment text NOT NULL,
    seconds double precision,  -- from claim to decision; NULL for one that was decided in bulk
    decided_at timestamptz NOT NULL DEFAULT now(),
    batch uuid NOT NULL,
    PRIMARY KEY (item_id, round),
    UNIQUE (item_id, analyst)  -- never the same person twice
);
CREATE INDEX review_rounds_of_batch ON review_rounds (batch);
CREATE INDEX review_rounds_by_age ON review_rounds (decided_at);
INSERT INTO review_rounds (item_id, round, analyst, resolution, comment, decided_at, batch)
    SELECT item_id, 1, decided_by, resolution, '', decided_at, coalesce(batch, gen_random_uuid())
    FROM review_items WHERE state = 'decided' AND decided_by IS NOT NULL;

-- Who is not offered an item: who skipped it, and, `judged`, who may not take it at all for having judged before.
CREATE TABLE review_barred (
    item_id uuid NOT NULL REFERENCES review_items,
    analyst text NOT NULL,
    judged boolean NOT NULL,
    PRIMARY KEY (item_id, analyst)
);
INSERT INTO review_barred SELECT item_id, analyst, true FROM review_rounds;

-- The key of the draw for a second look: nobody can work out beforehand which items are drawn.
CREATE TABLE review_keys (
    purpose text PRIMARY KEY,
    key bytea NOT NULL CHECK (length(key) = 32)
);
INSERT INTO review_keys SELECT 'second_look', uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());

-- Pieces of the sketches of items that lead a case and wait for their first look, each hashed with where it may match.
CREATE TABLE review_pieces (
    piece bigint NOT NULL,
    item_id uuid NOT NULL REFERENCES review_items,
    PRIMARY KEY (piece, item_id)
);
CREATE INDEX review_pieces_of_item ON review_pieces (item_id);

CREATE TABLE review_comments (
    comment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_id uuid NOT NULL REFERENCES review_items,
    author text NOT NULL,
    text text NOT NULL CHECK (length(text) BETWEEN 1 AND 2000),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX review_comments_of_item ON review_comments (item_id, comment_id);
CREATE TRIGGER review_comments_append_only BEFORE UPDATE OR DELETE ON review_comments
    FOR EACH ROW EXECUTE FUNCTION forbid_change();
CREATE TRIGGER review_comments_no_truncate BEFORE TRUNCATE ON review_comments
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

-- What a bulk decision was shown: the items, and where the chain of events of each ended then.
CREATE TABLE review_previews (
    token_sha256 bytea PRIMARY KEY CHECK (length(token_sha256) = 32),
    analyst text NOT NULL,
    items uuid[] NOT NULL,
    heads bytea[] NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX review_previews_by_expiry ON review_previews (expires_at);

-- A claim rings no bell: commits that notify wait for one another, and nobody who listens is in a hurry to hear of one.
DROP TRIGGER events_bell ON events;
CREATE TRIGGER events_bell AFTER INSERT ON events
    FOR EACH ROW WHEN (NEW.type <> 'item.claimed') EXECUTE FUNCTION ring_events();

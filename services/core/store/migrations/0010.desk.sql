-- What the desk needs to route, to judge twice, to undo and to settle; stops to appeal and to resume; events to tell.
-- depends: 0006.negative_prompts 0009.image_banks

-- A check of a request that did not open the gate, with the evidence of what was checked. `sketch` finds near-duplicates.
CREATE TABLE stops (
    decision_id uuid NOT NULL,
    place smallint NOT NULL CHECK (place >= 0),
    tenant text NOT NULL REFERENCES tenants,
    account text NOT NULL,
    stage text NOT NULL CHECK (stage IN ('prompt', 'upload', 'pair', 'output')),
    output smallint NOT NULL CHECK (output >= 0),
    verdict smallint NOT NULL CHECK (verdict BETWEEN 1 AND 3),
    held boolean NOT NULL,
    reasons jsonb NOT NULL,
    signals jsonb NOT NULL,
    models jsonb NOT NULL,
    policy text NOT NULL,
    digests jsonb NOT NULL,
    sketch bytea NOT NULL,
    prompt uuid,
    negative_prompt uuid,
    image uuid,
    mask uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (decision_id, place)
);
CREATE INDEX stops_by_age ON stops (created_at);

ALTER TABLE review_items
    ADD COLUMN kind text NOT NULL DEFAULT 'content' CHECK (kind IN ('content', 'report', 'appeal', 'suspension')),
    ADD COLUMN subject uuid,  -- the report or appeal that it is about
    ADD COLUMN tier text NOT NULL DEFAULT 'new' CHECK (tier IN ('new', 'trusted', 'red_team')),
    ADD COLUMN sketch bytea NOT NULL DEFAULT '',
    ADD COLUMN turn_at timestamptz NOT NULL DEFAULT now(),  -- the order of a queue: waiting time and priority in one
    ADD COLUMN leader uuid REFERENCES review_items,  -- who leads its case of near-duplicates; NULL: itself
    ADD COLUMN round smallint NOT NULL DEFAULT 1 CHECK (round BETWEEN 1 AND 3),  -- first look, blind second, adjudication
    ADD COLUMN golden uuid,  -- a known case, to measure by; its decision has no effect
    ADD COLUMN claimed_at timestamptz,
    ADD COLUMN batch uuid,
    ADD COLUMN effective_at timestamptz,  -- until then a decision can be taken back
    ADD COLUMN settled_at timestamptz;  -- when its effects were applied
UPDATE review_items SET turn_at = created_at WHERE state <> 'pending';
UPDATE review_items SET effective_at = decided_at, settled_at = decided_at WHERE state = 'decided';

DROP INDEX review_items_waiting, review_items_in_queue, review_items_in_order;
CREATE INDEX review_items_waiting ON review_items (sealed, turn_at, item_id) WHERE state = 'queued' AND leader IS NULL;
CREATE INDEX review_items_in_queue ON review_items (queue, turn_at, item_id) WHERE state = 'queued' AND leader IS NULL;
CREATE INDEX review_items_in_order ON review_items (turn_at, item_id);
CREATE INDEX review_items_of_case ON review_items (leader) WHERE leader IS NOT NULL;
CREATE INDEX review_items_of_batch ON review_items (batch) WHERE batch IS NOT NULL;
CREATE INDEX review_items_unsettled ON review_items (effective_at) WHERE state = 'decided' AND settled_at IS NULL;

ALTER TABLE outbox ADD COLUMN due_at timestamptz NOT NULL DEFAULT now();
DROP INDEX outbox_unpublished;
CREATE INDEX outbox_unpublished ON outbox (due_at, id) WHERE published_at IS NULL;

-- What happened, for those who listen. `xid` tells a reader which rows below a number may still be on their way.
CREATE TABLE events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT now(),
    tenant text REFERENCES tenants,  -- NULL: of the house, not of a platform
    type text NOT NULL CHECK (type ~ '^[a-z_.]{1,64}$'),
    subject text NOT NULL CHECK (length(subject) <= 256),
    sealed boolean NOT NULL,
    data jsonb NOT NULL
);
CREATE INDEX events_by_age ON events (at);

CREATE FUNCTION ring_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('events', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER events_bell AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION ring_events();

ALTER TABLE evidence DROP CONSTRAINT evidence_kind_check;
ALTER TABLE evidence ADD CONSTRAINT evidence_kind_check
    CHECK (kind IN ('prompt', 'negative_prompt', 'image', 'mask', 'answer', 'order'));

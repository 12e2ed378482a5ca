-- Tenants, accounts, decisions, requests, review and its outbox, evidence.
-- depends:

CREATE TABLE tenants (
    tenant text PRIMARY KEY CHECK (tenant ~ '^[a-z0-9-]{1,64}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    key_id text PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants,
    secret_sha256 bytea NOT NULL CHECK (length(secret_sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE accounts (
    tenant text NOT NULL REFERENCES tenants,
    account text NOT NULL CHECK (length(account) BETWEEN 1 AND 128),
    tier text NOT NULL DEFAULT 'new' CHECK (tier IN ('new', 'trusted', 'red_team')),
    standing text NOT NULL DEFAULT 'good' CHECK (standing IN ('good', 'suspended')),
    standing_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, account)
);

-- Append-only, by month. A row lands in the DEFAULT partition where nobody made the month's in time.
CREATE TABLE decisions (
    decision_id uuid NOT NULL,
    request_id uuid NOT NULL,
    tenant text NOT NULL REFERENCES tenants,
    account text NOT NULL,
    operation text NOT NULL,
    verdict smallint NOT NULL CHECK (verdict BETWEEN 1 AND 3),
    reasons jsonb NOT NULL,
    signals jsonb NOT NULL,
    policy text NOT NULL,
    models jsonb NOT NULL,
    digests jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (decision_id, created_at)
) PARTITION BY RANGE (created_at);

CREATE TABLE decisions_default PARTITION OF decisions DEFAULT;

CREATE INDEX decisions_by_account ON decisions (tenant, account, created_at);

CREATE FUNCTION create_decision_partitions(months_ahead integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month date;
BEGIN
    FOR ahead IN 0..months_ahead LOOP
        month := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead))::date;
        -- Postgres refuses a partition for rows that the default one holds already; they stay where they are.
        CONTINUE WHEN to_regclass(format('decisions_%s', to_char(month, 'YYYYMM'))) IS NOT NULL
            OR EXISTS (
                SELECT FROM decisions_default
                WHERE created_at >= month AT TIME ZONE 'UTC'
                    AND created_at < (month + interval '1 month') AT TIME ZONE 'UTC'
            );
        EXECUTE format(
            'CREATE TABLE decisions_%s PARTITION OF decisions FOR VALUES FROM (%L) TO (%L)',
            to_char(month, 'YYYYMM'),
            month::timestamp AT TIME ZONE 'UTC',
            (month + interval '1 month') AT TIME ZONE 'UTC'
        );
    END LOOP;
END
$$;

CREATE FUNCTION forbid_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER decisions_append_only BEFORE UPDATE OR DELETE ON decisions
    FOR EACH ROW EXECUTE FUNCTION forbid_change();

CREATE TRIGGER decisions_no_truncate BEFORE TRUNCATE ON decisions
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

-- What is encrypted where (the file is named after the id), until when.
CREATE TABLE evidence (
    evidence_id uuid PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants,
    kind text NOT NULL CHECK (kind IN ('prompt', 'image', 'mask', 'answer')),
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX evidence_by_expiry ON evidence (expires_at);

CREATE TABLE requests (
    tenant text NOT NULL REFERENCES tenants,
    request_id uuid NOT NULL,
    content_digest bytea NOT NULL CHECK (length(content_digest) = 32),
    decision_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'answered')),
    attempt integer NOT NULL DEFAULT 1,
    lease_expires_at timestamptz NOT NULL,
    answer uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, request_id)
);

CREATE INDEX requests_by_expiry ON requests (expires_at);

CREATE TABLE review_items (
    item_id uuid PRIMARY KEY,
    decision_id uuid NOT NULL,
    tenant text NOT NULL REFERENCES tenants,
    account text NOT NULL,
    stage text NOT NULL CHECK (stage IN ('prompt', 'upload', 'pair', 'output')),
    verdict smallint NOT NULL CHECK (verdict BETWEEN 1 AND 3),
    reasons jsonb NOT NULL,
    held boolean NOT NULL,
    sealed boolean NOT NULL,
    prompt uuid,
    image uuid,
    mask uuid,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'queued', 'claimed', 'decided')),
    queue text NOT NULL DEFAULT '',
    priority smallint NOT NULL DEFAULT 9 CHECK (priority BETWEEN 0 AND 9),
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz,
    claimed_by text,
    claim_token_sha256 bytea,
    claim_expires_at timestamptz,
    resolution text CHECK (resolution IN ('release', 'uphold')),
    decided_by text,
    decided_at timestamptz,
    -- The end of the item's chain of events: a cut tail is found by it.
    events integer NOT NULL DEFAULT 0,
    head bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    CHECK ((state = 'pending') = (due_at IS NULL)),
    CHECK ((state = 'claimed') = (claim_token_sha256 IS NOT NULL)),
    CHECK ((state = 'decided') = (resolution IS NOT NULL))
);

CREATE INDEX review_items_waiting ON review_items (sealed, priority, created_at, item_id) WHERE state = 'queued';
CREATE INDEX review_items_in_queue ON review_items (queue, priority, created_at, item_id) WHERE state = 'queued';
CREATE INDEX review_items_open_prompt ON review_items (prompt) WHERE state <> 'decided';
CREATE INDEX review_items_open_image ON review_items (image) WHERE state <> 'decided';
CREATE INDEX review_items_open_mask ON review_items (mask) WHERE state <> 'decided';
CREATE INDEX review_items_pending ON review_items (created_at) WHERE state = 'pending';
CREATE INDEX review_items_claimed ON review_items (claim_expires_at) WHERE state = 'claimed';
CREATE INDEX review_items_in_order ON review_items (priority, created_at, item_id);
CREATE INDEX review_items_by_decision ON review_items (decision_id);

CREATE TABLE review_events (
    item_id uuid NOT NULL REFERENCES review_items,
    seq integer NOT NULL CHECK (seq > 0),
    kind text NOT NULL,
    actor text NOT NULL,
    at timestamptz NOT NULL,
    detail jsonb NOT NULL,
    prev_hash bytea NOT NULL CHECK (length(prev_hash) = 32),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (item_id, seq)
);

CREATE TRIGGER review_events_append_only BEFORE UPDATE OR DELETE ON review_events
    FOR EACH ROW EXECUTE FUNCTION forbid_change();

CREATE TRIGGER review_events_no_truncate BEFORE TRUNCATE ON review_events
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    subject uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    times integer NOT NULL DEFAULT 0
);

CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL;
CREATE INDEX outbox_by_subject ON outbox (subject);

CREATE FUNCTION ring_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('outbox', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER outbox_bell AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION ring_outbox();

-- Who is told of events, and how far each has come: webhooks of platforms, Kafka, what was forgotten.
-- depends: 0010.desk

CREATE INDEX events_in_order ON events (xid, event_id);

CREATE TABLE event_cursors (
    name text PRIMARY KEY CHECK (name IN ('webhooks', 'kafka', 'forgotten')),
    position bigint NOT NULL CHECK (position >= 0),
    moved_at timestamptz NOT NULL DEFAULT now()
);

-- `rests_until` is both: the lease of the one delivery under way, and the pause after one that failed.
CREATE TABLE webhook_endpoints (
    endpoint_id uuid PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants,
    url text NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    types text[] NOT NULL CHECK (cardinality(types) BETWEEN 1 AND 16),
    secret bytea NOT NULL,  -- encrypted
    old_secret bytea,  -- signs too until `old_secret_until`
    old_secret_until timestamptz,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    enabled boolean NOT NULL DEFAULT true,
    rests_until timestamptz NOT NULL DEFAULT now(),
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz
);
CREATE INDEX webhook_endpoints_of_tenant ON webhook_endpoints (tenant);

CREATE TABLE webhook_deliveries (
    delivery_id uuid PRIMARY KEY,
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    event_id bigint,  -- NULL: a test
    type text NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'parked')),
    due_at timestamptz NOT NULL DEFAULT now(),
    attempt integer NOT NULL DEFAULT 0,
    tried_since timestamptz,
    moved_at timestamptz NOT NULL DEFAULT now(),
    status text NOT NULL DEFAULT '',
    UNIQUE (endpoint_id, event_id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at, event_id) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_by_state ON webhook_deliveries (state, moved_at);

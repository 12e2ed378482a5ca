-- The registry: every released image, by what it can be found again.
-- depends: 0001.core

CREATE TABLE images (
    image_id uuid PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants,
    decision_id uuid NOT NULL,
    payload_id bytea NOT NULL UNIQUE CHECK (length(payload_id) = 8),
    sha256 bytea NOT NULL UNIQUE CHECK (length(sha256) = 32),
    pdq bit(256) NOT NULL,
    pdq_quality smallint NOT NULL CHECK (pdq_quality BETWEEN 0 AND 100),
    phash bit(64) NOT NULL,
    sketch bytea NOT NULL CHECK (length(sketch) = 3072),
    width integer NOT NULL CHECK (width > 0),
    height integer NOT NULL CHECK (height > 0),
    format text NOT NULL CHECK (format IN ('PNG', 'JPEG', 'WEBP')),
    operation text NOT NULL CHECK (operation IN ('create', 'edit', 'variation')),
    parents uuid[] NOT NULL,
    depth integer NOT NULL CHECK (depth > 0),
    model jsonb NOT NULL,
    policy text NOT NULL,
    request_digest text NOT NULL CHECK (request_digest ~ '^[0-9a-f]{64}$'),
    manifest bytea NOT NULL,
    withdrawn_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX images_by_decision ON images (tenant, decision_id);

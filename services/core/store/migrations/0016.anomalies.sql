-- What is remembered of accounts, models and tenants to tell the unusual; what fired; which accounts share a thing.
-- depends: 0010.desk

-- One row each; a gateway that starts goes on where another stopped. A model's rows are the house's: tenant ''.
CREATE TABLE watches (
    kind text NOT NULL CHECK (kind IN ('account', 'model', 'tenant')),
    tenant text NOT NULL,
    subject text NOT NULL CHECK (length(subject) <= 256),
    state jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, tenant, subject)
) WITH (fillfactor = 70);
CREATE INDEX watches_by_age ON watches USING brin (updated_at);

CREATE TABLE anomalies (
    anomaly_id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    tenant text REFERENCES tenants,  -- NULL: about a model
    subject text NOT NULL CHECK (length(subject) <= 256),  -- the account or the model; '' is the tenant itself
    rule text NOT NULL CHECK (rule ~ '^[a-z_]{1,32}$'),
    mode text NOT NULL CHECK (mode IN ('shadow', 'enforce')),
    action text NOT NULL CHECK (action IN ('flag', 'cool', 'hold')),
    explanation text NOT NULL CHECK (length(explanation) <= 500),
    facts jsonb NOT NULL,
    sealed boolean NOT NULL,
    seen_by text,
    seen_at timestamptz,
    CHECK ((seen_by IS NULL) = (seen_at IS NULL))
);
CREATE INDEX anomalies_of_subject ON anomalies (tenant, subject, at);
CREATE INDEX anomalies_open ON anomalies (at) WHERE seen_at IS NULL;

-- `hash` is an HMAC under the house's key over the tenant and the platform's own hash.
CREATE TABLE account_links (
    tenant text NOT NULL REFERENCES tenants,
    account text NOT NULL CHECK (length(account) BETWEEN 1 AND 128),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    added_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, account, hash)
);
CREATE INDEX account_links_by_hash ON account_links (tenant, hash, account);

-- The people of the desk: who they are, how they prove it, their sessions, and what they have had to look at.
-- depends: 0010.desk

CREATE TABLE staff (
    name text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    roles text[] NOT NULL CHECK (
        roles <@ ARRAY['analyst', 'senior', 'sealed', 'lead', 'policy', 'auditor', 'admin'] AND cardinality(roles) > 0
    ),
    email text UNIQUE CHECK (email = lower(email)),  -- by which a provider of identities may know them
    subject text UNIQUE,  -- "issuer subject", bound at their first login by such a provider
    password_hash text,
    totp_secret bytea,  -- encrypted
    totp_step bigint NOT NULL DEFAULT 0,  -- the last time step whose code was used
    opt_out text[] NOT NULL DEFAULT '{}',  -- categories that they are not given, children written out
    working_since timestamptz,  -- since their last break
    worked_at timestamptz,
    disabled_at timestamptz,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((password_hash IS NULL) = (totp_secret IS NULL))
);

CREATE TABLE staff_invitations (
    token_sha256 bytea PRIMARY KEY CHECK (length(token_sha256) = 32),
    name text NOT NULL REFERENCES staff,
    totp_secret bytea,  -- encrypted; proposed until the invitation is used
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX staff_invitations_by_name ON staff_invitations (name);

CREATE TABLE staff_recovery_codes (
    name text NOT NULL REFERENCES staff,
    code_sha256 bytea NOT NULL CHECK (length(code_sha256) = 32),
    used_at timestamptz,
    PRIMARY KEY (name, code_sha256)
);

CREATE TABLE staff_sessions (
    token_sha256 bytea PRIMARY KEY CHECK (length(token_sha256) = 32),
    name text NOT NULL REFERENCES staff,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE INDEX staff_sessions_by_name ON staff_sessions (name) WHERE ended_at IS NULL;
CREATE INDEX staff_sessions_by_age ON staff_sessions (created_at);

-- Failed logins in a row, by name ("name/alice", known or not) and by address ("from/192.0.2.1").
CREATE TABLE login_attempts (
    who text PRIMARY KEY CHECK (length(who) <= 128),
    failures integer NOT NULL,
    last_at timestamptz NOT NULL DEFAULT now(),
    blocked_until timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX login_attempts_by_age ON login_attempts (last_at);

-- Plain pictures that a person had to look at, by category; one reveal is one row for each category of its case.
CREATE TABLE staff_reveals (
    reveal_id uuid NOT NULL,
    name text NOT NULL,
    item_id uuid NOT NULL,
    category text NOT NULL,
    sealed boolean NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (reveal_id, category)
);
CREATE INDEX staff_reveals_of_person ON staff_reveals (name, at);

-- What an account had under review, latest first.
CREATE INDEX review_items_of_account ON review_items (tenant, account, created_at);
-- What was made of a picture; reports need it too.
CREATE INDEX IF NOT EXISTS images_by_parent ON images USING gin (parents);
-- A queue's items of any state, in the order of their turn: no step of a case changes these columns.
CREATE INDEX review_items_of_queue ON review_items (queue, turn_at, item_id);

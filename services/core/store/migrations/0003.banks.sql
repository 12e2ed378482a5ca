-- Banks of known images: hashes that uploads and outputs are compared with.
-- depends: 0001.core

CREATE TABLE banks (
    bank text PRIMARY KEY CHECK (bank ~ '^[a-z0-9-]{1,64}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE bank_entries (
    bank text NOT NULL REFERENCES banks,
    entry text NOT NULL CHECK (length(entry) BETWEEN 1 AND 128),
    kind text NOT NULL CHECK (kind IN ('pdq', 'phash256')),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (bank, entry, kind)
);

-- One row, counted up by every change of an entry, so that a service sees in one look whether it must load anew.
CREATE TABLE bank_state (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    changes bigint NOT NULL
);
INSERT INTO bank_state (changes) VALUES (0);

CREATE FUNCTION count_bank_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE bank_state SET changes = changes + 1;
    RETURN NULL;
END $$;

CREATE TRIGGER bank_entries_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON bank_entries
    FOR EACH STATEMENT EXECUTE FUNCTION count_bank_change();

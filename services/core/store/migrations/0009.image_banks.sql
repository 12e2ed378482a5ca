-- Banks of known images for one tenant or for all, with what is thought of each entry and how often it was seen.
-- depends: 0003.banks 0008.prompt_models

ALTER TABLE bank_entries RENAME TO old_bank_entries;
ALTER TABLE old_bank_entries DROP CONSTRAINT bank_entries_bank_fkey;
ALTER TABLE banks DROP CONSTRAINT banks_pkey;
ALTER TABLE banks
    ADD COLUMN bank_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ADD COLUMN tenant text REFERENCES tenants,  -- NULL: every tenant's pictures are compared with it
    ADD COLUMN description text NOT NULL DEFAULT '' CHECK (length(description) <= 1000),
    ADD COLUMN enabled boolean NOT NULL DEFAULT true,
    ADD COLUMN changed_by text NOT NULL DEFAULT 'migration',
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT banks_name UNIQUE NULLS NOT DISTINCT (tenant, bank);

CREATE TABLE bank_entries (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bank_id bigint NOT NULL REFERENCES banks ON DELETE CASCADE,
    entry text NOT NULL CHECK (length(entry) BETWEEN 1 AND 128),
    labels text[] NOT NULL DEFAULT '{}',
    -- The words of the threatexchange library.
    opinion text NOT NULL DEFAULT 'positive_class'
        CHECK (opinion IN ('positive_class', 'investigation_seed', 'disputed', 'negative_class')),
    enabled boolean NOT NULL DEFAULT true,
    source text NOT NULL DEFAULT '' CHECK (length(source) <= 200),
    added_by text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (bank_id, entry)
);

CREATE TABLE bank_hashes (
    entry_id bigint NOT NULL REFERENCES bank_entries ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('pdq', 'phash256', 'region')),
    part smallint NOT NULL CHECK (part BETWEEN 0 AND 255),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (entry_id, kind, part)
);

-- Beside the entries, so that counting neither rewrites them nor looks like a change of the bank.
CREATE TABLE bank_seen (
    entry_id bigint PRIMARY KEY REFERENCES bank_entries ON DELETE CASCADE,
    seen bigint NOT NULL,
    last_seen timestamptz NOT NULL
);

INSERT INTO bank_entries (bank_id, entry, added_by, added_at)
    SELECT b.bank_id, o.entry, 'migration', min(o.created_at)
    FROM old_bank_entries o JOIN banks b USING (bank) GROUP BY b.bank_id, o.entry;
INSERT INTO bank_hashes (entry_id, kind, part, hash)
    SELECT e.entry_id, o.kind, 0, o.hash
    FROM old_bank_entries o JOIN banks b USING (bank) JOIN bank_entries e USING (bank_id, entry);
DROP TABLE old_bank_entries;

CREATE OR REPLACE FUNCTION count_bank_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE bank_state SET changes = changes + 1;
    PERFORM pg_notify('image_banks', '');
    RETURN NULL;
END $$;

CREATE TRIGGER banks_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON banks
    FOR EACH STATEMENT EXECUTE FUNCTION count_bank_change();
CREATE TRIGGER bank_entries_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON bank_entries
    FOR EACH STATEMENT EXECUTE FUNCTION count_bank_change();
CREATE TRIGGER bank_hashes_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON bank_hashes
    FOR EACH STATEMENT EXECUTE FUNCTION count_bank_change();
UPDATE bank_state SET changes = changes + 1;

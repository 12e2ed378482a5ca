-- Banks of words: terms of a tenant, people of the house, and who changed them last.
-- depends: 0004.policies

-- Numbers every change of any bank, so that one that was removed and made again is never taken for the old one.
CREATE SEQUENCE word_bank_changes;

CREATE TABLE term_banks (
    tenant text NOT NULL REFERENCES tenants,
    bank text NOT NULL CHECK (bank ~ '^[a-z0-9-]{1,64}$'),
    changes bigint NOT NULL DEFAULT nextval('word_bank_changes'),
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, bank)
);

CREATE TABLE terms (
    tenant text NOT NULL,
    bank text NOT NULL,
    term text NOT NULL CHECK (length(term) BETWEEN 1 AND 200),
    kind text NOT NULL CHECK (kind IN ('exact', 'fuzzy', 're2', 'exception')),
    category text NOT NULL,
    score double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    distance smallint NOT NULL CHECK (distance BETWEEN 0 AND 2),
    near text[] NOT NULL,
    not_near text[] NOT NULL,
    within smallint NOT NULL CHECK (within BETWEEN 1 AND 50),
    PRIMARY KEY (tenant, bank, kind, term),
    FOREIGN KEY (tenant, bank) REFERENCES term_banks ON DELETE CASCADE
);

CREATE TABLE people_banks (
    bank text PRIMARY KEY CHECK (bank ~ '^[a-z0-9-]{1,64}$'),
    changes bigint NOT NULL DEFAULT nextval('word_bank_changes'),
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE people (
    bank text NOT NULL REFERENCES people_banks ON DELETE CASCADE,
    entry text NOT NULL CHECK (length(entry) BETWEEN 1 AND 200),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    aliases text[] NOT NULL,
    died smallint,
    score double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    PRIMARY KEY (bank, entry)
);

-- A bank's number changes with it, so that a service sees in one look which banks it must load anew; and it says so at once.
CREATE FUNCTION term_bank_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE term_banks SET changes = nextval('word_bank_changes')
        WHERE (tenant, bank) IN (SELECT DISTINCT tenant, bank FROM changed);
    PERFORM pg_notify('word_banks', '');
    RETURN NULL;
END $$;

CREATE TRIGGER terms_added AFTER INSERT ON terms
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION term_bank_changed();
CREATE TRIGGER terms_altered AFTER UPDATE ON terms
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION term_bank_changed();
CREATE TRIGGER terms_removed AFTER DELETE ON terms
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION term_bank_changed();

CREATE FUNCTION people_bank_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE people_banks SET changes = nextval('word_bank_changes') WHERE bank IN (SELECT DISTINCT bank FROM changed);
    PERFORM pg_notify('word_banks', '');
    RETURN NULL;
END $$;

CREATE TRIGGER people_added AFTER INSERT ON people
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION people_bank_changed();
CREATE TRIGGER people_altered AFTER UPDATE ON people
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION people_bank_changed();
CREATE TRIGGER people_removed AFTER DELETE ON people
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION people_bank_changed();

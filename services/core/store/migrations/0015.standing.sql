-- Strikes that never change, the standing that they lead to with its history, invited accounts and who waits to be one.
-- depends: 0010.desk

ALTER TABLE accounts DROP CONSTRAINT accounts_standing_check, DROP CONSTRAINT accounts_tier_check;
ALTER TABLE accounts
    ADD CHECK (standing IN ('good', 'warned', 'cooling', 'held', 'suspended', 'banned')),
    ADD CHECK (tier IN ('new', 'trusted', 'invited', 'red_team')),
    ADD COLUMN standing_since timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN standing_reason text NOT NULL DEFAULT '' CHECK (length(standing_reason) <= 64),
    -- What a person or a rule put it to, beside what its strikes lead to.
    ADD COLUMN imposed text CHECK (imposed IN ('warned', 'cooling', 'held', 'suspended', 'banned')),
    ADD COLUMN imposed_until timestamptz,
    ADD COLUMN imposed_reason text NOT NULL DEFAULT '' CHECK (length(imposed_reason) <= 64),
    ADD COLUMN pardoned_at timestamptz,  -- steps that were reached before hold no more
    ADD COLUMN trust_checked_at timestamptz;
UPDATE accounts SET imposed = standing, imposed_until = standing_until, imposed_reason = 'person'
    WHERE standing <> 'good';
CREATE INDEX accounts_in_bad_standing ON accounts (standing_until) WHERE standing <> 'good';
CREATE INDEX accounts_to_trust ON accounts (trust_checked_at NULLS FIRST) WHERE tier = 'new' AND standing = 'good';

ALTER TABLE review_items DROP CONSTRAINT review_items_tier_check;
ALTER TABLE review_items ADD CHECK (tier IN ('new', 'trusted', 'invited', 'red_team'));
CREATE INDEX review_items_open_of_account ON review_items (tenant, account) WHERE state <> 'decided';
CREATE INDEX review_items_open_suspension ON review_items (due_at) WHERE kind = 'suspension' AND state <> 'decided';

-- The secret by which each account's ladder differs a little. It guards against those who only see our answers; whoever
-- reads this table reads the strikes beside it.
CREATE TABLE standing_secret (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    secret bytea NOT NULL CHECK (length(secret) = 32)
);
INSERT INTO standing_secret (secret)
    SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

CREATE TABLE strikes (
    strike_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant text NOT NULL,
    account text NOT NULL,
    decision_id uuid NOT NULL,
    source text NOT NULL CHECK (source IN ('blocked', 'upheld', 'reported')),
    category text NOT NULL CHECK (length(category) BETWEEN 1 AND 64),
    stage text NOT NULL CHECK (stage IN ('prompt', 'upload', 'pair', 'output')),
    weight float8 NOT NULL CHECK (weight > 0),
    sealed boolean NOT NULL,
    at timestamptz NOT NULL,
    UNIQUE (decision_id, source, category),
    FOREIGN KEY (tenant, account) REFERENCES accounts
);
CREATE INDEX strikes_of_account ON strikes (tenant, account, at);
CREATE TRIGGER strikes_append_only BEFORE UPDATE OR DELETE ON strikes FOR EACH ROW EXECUTE FUNCTION forbid_change();
CREATE TRIGGER strikes_no_truncate BEFORE TRUNCATE ON strikes FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

CREATE TABLE strike_reversals (
    strike_id uuid PRIMARY KEY REFERENCES strikes,
    who text NOT NULL CHECK (length(who) BETWEEN 1 AND 128),
    why text NOT NULL CHECK (length(why) <= 2000),
    appeal uuid,
    at timestamptz NOT NULL
);
CREATE TRIGGER strike_reversals_append_only BEFORE UPDATE OR DELETE ON strike_reversals
    FOR EACH ROW EXECUTE FUNCTION forbid_change();
CREATE TRIGGER strike_reversals_no_truncate BEFORE TRUNCATE ON strike_reversals
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

CREATE TABLE standing_changes (
    change_id uuid PRIMARY KEY,
    tenant text NOT NULL,
    account text NOT NULL,
    before text NOT NULL,
    step text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('shadow', 'enforce')),  -- in shadow nothing was done
    until timestamptz,
    reason text NOT NULL,
    who text NOT NULL CHECK (length(who) BETWEEN 1 AND 128),
    note text NOT NULL CHECK (length(note) <= 2000),
    at timestamptz NOT NULL,
    FOREIGN KEY (tenant, account) REFERENCES accounts
);
CREATE INDEX standing_changes_of_account ON standing_changes (tenant, account, at);
CREATE TRIGGER standing_changes_append_only BEFORE UPDATE OR DELETE ON standing_changes
    FOR EACH ROW EXECUTE FUNCTION forbid_change();
CREATE TRIGGER standing_changes_no_truncate BEFORE TRUNCATE ON standing_changes
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

CREATE TABLE waitlist (
    tenant text NOT NULL,
    account text NOT NULL,
    joined_at timestamptz NOT NULL DEFAULT now(),
    invited_at timestamptz,
    PRIMARY KEY (tenant, account),
    FOREIGN KEY (tenant, account) REFERENCES accounts
);
CREATE INDEX waitlist_in_order ON waitlist (tenant, joined_at) WHERE invited_at IS NULL;

-- Policies: immutable documents, and who put which in force when.
-- depends: 0001.core

CREATE TABLE policies (
    policy_id text PRIMARY KEY CHECK (policy_id ~ '^[0-9a-f]{64}$'),
    name text NOT NULL,
    source text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE policy_activations (
    activation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    policy_id text NOT NULL REFERENCES policies,
    activated_by text NOT NULL,
    activated_at timestamptz NOT NULL
);

CREATE TRIGGER policies_append_only BEFORE UPDATE OR DELETE ON policies
    FOR EACH ROW EXECUTE FUNCTION forbid_change();
CREATE TRIGGER policies_no_truncate BEFORE TRUNCATE ON policies
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();
CREATE TRIGGER policy_activations_append_only BEFORE UPDATE OR DELETE ON policy_activations
    FOR EACH ROW EXECUTE FUNCTION forbid_change();
CREATE TRIGGER policy_activations_no_truncate BEFORE TRUNCATE ON policy_activations
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

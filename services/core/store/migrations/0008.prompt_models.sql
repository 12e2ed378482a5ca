-- Candidates for the prompt filter, fitted from decisions, and which of them is on trial beside the active model.
-- depends: 0004.policies

CREATE TABLE prompt_models (
    model_id text PRIMARY KEY CHECK (model_id ~ '^[0-9a-f]{64}$'),
    encoder_sha256 text NOT NULL CHECK (encoder_sha256 ~ '^[0-9a-f]{64}$'),
    heads bytea NOT NULL CHECK (length(heads) BETWEEN 1 AND 16777216),
    figures jsonb NOT NULL,
    made_by text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);

-- The latest row says what is on trial; a null ends the last trial.
CREATE TABLE prompt_model_trials (
    trial_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id text REFERENCES prompt_models,
    started_by text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
);

CREATE TRIGGER prompt_models_append_only BEFORE UPDATE OR DELETE ON prompt_models
    FOR EACH ROW EXECUTE FUNCTION forbid_change();
CREATE TRIGGER prompt_models_no_truncate BEFORE TRUNCATE ON prompt_models
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();
CREATE TRIGGER prompt_model_trials_append_only BEFORE UPDATE OR DELETE ON prompt_model_trials
    FOR EACH ROW EXECUTE FUNCTION forbid_change();
CREATE TRIGGER prompt_model_trials_no_truncate BEFORE TRUNCATE ON prompt_model_trials
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

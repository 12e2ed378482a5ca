-- Who did what to the house: tiers given, red-team runs, models put on trial. Append-only.
-- depends: 0001.core

CREATE TABLE audit_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL CHECK (length(actor) BETWEEN 1 AND 128),
    action text NOT NULL CHECK (action ~ '^[a-z_.]{1,64}$'),
    subject text NOT NULL CHECK (length(subject) <= 256),
    detail jsonb NOT NULL
);

CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION forbid_change();
CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

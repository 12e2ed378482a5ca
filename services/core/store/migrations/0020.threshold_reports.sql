-- What thresholds each week's decisions would have wanted.
-- depends: 0010.desk

CREATE TABLE threshold_reports (
    week date PRIMARY KEY CHECK (extract(isodow FROM week) = 1),  -- its Monday, UTC
    policy text NOT NULL,
    rows jsonb NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);

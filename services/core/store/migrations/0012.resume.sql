-- What a held request needs to go on once people have released it, and the decision that carries it on.
-- depends: 0010.desk

-- `carried` are earlier decisions of the same request: what people released of them stays released. Everything in
-- `evidence` is kept while an item of the decision is unsettled, and for `evidence_life` from then on.
CREATE TABLE held_requests (
    decision_id uuid PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants,
    account text NOT NULL,
    carried uuid[] NOT NULL,
    order_evidence uuid NOT NULL,
    evidence uuid[] NOT NULL,
    evidence_life interval NOT NULL,
    resumed_by uuid,  -- the request that carries it on; it holds only while that request runs
    resumed_as uuid,  -- the decision that it came to; from then on it is resumed for good
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (resumed_as IS NULL OR resumed_by IS NOT NULL)
);
CREATE INDEX held_requests_by_evidence ON held_requests USING gin (evidence);

ALTER TABLE decisions ADD COLUMN resumes uuid;  -- the held decision that this one carries on

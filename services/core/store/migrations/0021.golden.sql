-- Known cases, handed out among the others to measure by.
-- depends: 0011.queue

CREATE TABLE golden_cases (
    golden uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    item_id uuid NOT NULL REFERENCES review_items,  -- the settled case that it is a copy of
    resolution text NOT NULL CHECK (resolution IN ('release', 'uphold')),
    note text NOT NULL CHECK (length(note) <= 2000),
    added_by text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);
CREATE UNIQUE INDEX golden_cases_in_use ON golden_cases (item_id) WHERE retired_at IS NULL;
CREATE INDEX review_items_golden ON review_items (golden) WHERE golden IS NOT NULL;

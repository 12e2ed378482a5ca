-- Reports of pictures, who makes them and how far they are believed; appeals; answers that a withdrawal takes back.
-- depends: 0011.queue 0015.standing

ALTER TABLE evidence DROP CONSTRAINT evidence_kind_check;
ALTER TABLE evidence ADD CONSTRAINT evidence_kind_check
    CHECK (kind IN ('prompt', 'negative_prompt', 'image', 'mask', 'answer', 'order', 'statement'));

-- Levels of priority that an item has gained over what its route gives it.
ALTER TABLE review_items ADD COLUMN urgency smallint NOT NULL DEFAULT 0 CHECK (urgency BETWEEN 0 AND 9);

-- The platforms' reporters under a keyed hash of their id; `upheld` and `dismissed` of their reports.
CREATE TABLE reporters (
    tenant text NOT NULL REFERENCES tenants,
    reporter bytea NOT NULL CHECK (length(reporter) = 32),
    upheld integer NOT NULL DEFAULT 0 CHECK (upheld >= 0),
    dismissed integer NOT NULL DEFAULT 0 CHECK (dismissed >= 0),
    PRIMARY KEY (tenant, reporter)
);

CREATE TABLE reports (
    report_id uuid PRIMARY KEY,
    tenant text NOT NULL,  -- who relays it; the picture may be another's
    reporter bytea NOT NULL,
    image_id uuid NOT NULL REFERENCES images,
    category text NOT NULL CHECK (length(category) <= 64),
    origin text NOT NULL CHECK (origin IN ('intact', 'altered', 'derived')),
    statement uuid,
    item_id uuid REFERENCES review_items,  -- its case; NULL: believed too little to open one
    outcome text CHECK (outcome IN ('upheld', 'dismissed')),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (image_id, tenant, reporter),
    FOREIGN KEY (tenant, reporter) REFERENCES reporters
);
CREATE INDEX reports_of_case ON reports (item_id) WHERE item_id IS NOT NULL;
CREATE INDEX reports_by_statement ON reports (statement) WHERE outcome IS NULL;
CREATE INDEX review_items_of_report ON review_items (subject) WHERE kind = 'report' AND settled_at IS NULL;
CREATE INDEX IF NOT EXISTS images_by_parent ON images USING gin (parents);

CREATE TABLE appeals (
    appeal_id uuid PRIMARY KEY,
    tenant text NOT NULL,
    account text NOT NULL,
    decision_id uuid,  -- NULL: of the account's suspension
    item_id uuid NOT NULL REFERENCES review_items,
    statement uuid,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'granted', 'denied')),
    due_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz,
    FOREIGN KEY (tenant, account) REFERENCES accounts,
    CHECK ((state = 'open') = (decided_at IS NULL))
);
CREATE UNIQUE INDEX appeals_of_decision ON appeals (decision_id) WHERE decision_id IS NOT NULL;
CREATE INDEX appeals_of_account ON appeals (tenant, account, created_at);
CREATE INDEX appeals_of_case ON appeals (item_id);
CREATE INDEX appeals_by_statement ON appeals (statement) WHERE state = 'open';

-- So that a withdrawal finds the stored answers with the picture in them.
CREATE INDEX requests_by_decision ON requests (decision_id);

-- The last suspension of an account is found by it.
CREATE INDEX review_items_of_suspension ON review_items (tenant, account, created_at) WHERE kind = 'suspension';

-- Messages that are deleted when they are done are few; those of items are many.
CREATE INDEX outbox_withdrawals ON outbox (published_at) WHERE topic = 'review.withdraw_image';

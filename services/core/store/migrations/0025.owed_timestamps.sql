-- Released pictures whose manifest has no timestamp yet; the registry's sidecar gets it as soon as it is to be had.
-- depends: 0023.console_pages

CREATE TABLE owed_timestamps (
    image_id uuid PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX owed_timestamps_by_age ON owed_timestamps (since, image_id);

-- Look-alikes: every PDQ hash that a released picture has, in 16 bands of 16 bits, each band an index of its own.
-- Two hashes within 31 of 256 bits agree in one of 16 bands but for at most one bit (31 < 2 × 16), so a search looks up
-- 17 values in each band and misses nothing: multi-index hashing (Norouzi, Punjani, Fleet: CVPR 2012).
-- depends: 0023.console_pages

-- One band of a hash, 0 … 65535.
CREATE FUNCTION pdq_band(pdq bit, band integer) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN substring(pdq FROM 16 * band + 1 FOR 16)::bit(16)::integer;

-- The value of a band and all that differ from it by one bit.
CREATE FUNCTION band_and_neighbours(value integer) RETURNS integer[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ARRAY[value, value # 1, value # 2, value # 4, value # 8, value # 16, value # 32, value # 64, value # 128,
        value # 256, value # 512, value # 1024, value # 2048, value # 4096, value # 8192, value # 16384, value # 32768];

-- By year, not by month: every partition is asked, and each costs a search its 2,176 descents whatever it holds.
CREATE TABLE image_hashes (
    pdq bit(256) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (created_at);

CREATE TABLE image_hashes_default PARTITION OF image_hashes DEFAULT;

-- The hash lies in each index, so that a search reads no table.
DO $$
BEGIN
    FOR band IN 0..15 LOOP
        EXECUTE format('CREATE INDEX image_hashes_band_%s ON image_hashes (pdq_band(pdq, %s)) INCLUDE (pdq)', band, band);
    END LOOP;
END
$$;

CREATE FUNCTION create_image_hash_partition(year integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first timestamptz := make_timestamptz(year, 1, 1, 0, 0, 0, 'UTC');
    next timestamptz := make_timestamptz(year + 1, 1, 1, 0, 0, 0, 'UTC');
BEGIN
    -- Postgres refuses a partition for rows that the default one holds already; they stay where they are.
    IF to_regclass(format('image_hashes_%s', year)) IS NULL AND NOT EXISTS (
        SELECT FROM image_hashes_default WHERE created_at >= first AND created_at < next
    ) THEN
        EXECUTE format(
            'CREATE TABLE image_hashes_%s PARTITION OF image_hashes FOR VALUES FROM (%L) TO (%L)', year, first, next
        );
    END IF;
END
$$;

CREATE INDEX images_by_pdq ON images (pdq);

-- What was released before.
DO $$
DECLARE
    year integer;
BEGIN
    FOR year IN SELECT DISTINCT extract(year FROM created_at AT TIME ZONE 'UTC')::integer FROM images LOOP
        PERFORM create_image_hash_partition(year);
    END LOOP;
END
$$;

INSERT INTO image_hashes (pdq, created_at) SELECT pdq, min(created_at) FROM images GROUP BY pdq;

-- The file as it was before its manifest was added: a copy from which only that was stripped is still found exactly.
ALTER TABLE images ADD COLUMN bare_sha256 bytea CHECK (length(bare_sha256) = 32);

CREATE INDEX images_by_bare_sha256 ON images (bare_sha256);

-- What was used of rates, of calls at once, and of credits.
-- depends: 0010.desk

-- One row a bucket (services/core/limits/gcra.py). Unlogged: nothing of it is written to the log or flushed, and after a
-- crash of Postgres every bucket is full again. No index but the key's, so that an update stays within its page.
CREATE UNLOGGED TABLE limit_buckets (
    key text PRIMARY KEY CHECK (length(key) <= 300),
    tat float8 NOT NULL,  -- seconds since 1970 by this server's clock
    cost float8 NOT NULL,  -- of the last call, in seconds
    depth float8 NOT NULL  -- of the limit as that call knew it, in seconds
) WITH (fillfactor = 50);

CREATE FUNCTION limit_now() RETURNS float8 LANGUAGE sql VOLATILE
    RETURN extract(epoch FROM clock_timestamp())::float8;

-- Where a bucket stands before it is taken from: Bucket._base in SQL.
CREATE FUNCTION limit_base(tat float8, depth float8, at float8) RETURNS float8 LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN tat > at + 2 * depth THEN at ELSE greatest(tat, at) END;

-- Fails the statement that could not take all it asked for, so that it takes nothing.
CREATE FUNCTION limit_all(got bigint, asked bigint) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF got < asked THEN
        RAISE EXCEPTION 'over a limit';
    END IF;
    RETURN true;
END
$$;

-- Calls at once, by the gateway that runs them: {"<gateway>": [calls, until]}. Each writes its own count, as it is; one
-- that dies is left out when its time has ended.
CREATE UNLOGGED TABLE limit_slots (
    key text PRIMARY KEY CHECK (length(key) <= 300),
    held jsonb NOT NULL
) WITH (fillfactor = 50);

-- The entries that count. One that ends later than a lease from now was written before the clock was set back.
CREATE FUNCTION limit_held(held jsonb, lease float8, at float8) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN (
        SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(held)
        WHERE (value->>0)::bigint > 0 AND (value->>1)::float8 > at AND (value->>1)::float8 <= at + lease
    );

-- How many calls the others run.
CREATE FUNCTION limit_others(held jsonb, me text, lease float8, at float8) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN (
        SELECT coalesce(sum((value->>0)::bigint), 0)::bigint FROM jsonb_each(limit_held(held, lease, at)) WHERE key <> me
    );

-- Bought and given pictures (services/core/limits/credits.py); money, so these are logged.
CREATE TABLE credits (
    tenant text NOT NULL,
    account text NOT NULL,
    month date NOT NULL,
    granted integer NOT NULL CHECK (granted >= 0),
    used bigint NOT NULL CHECK (used >= 0),
    packs bigint NOT NULL CHECK (packs >= 0),
    PRIMARY KEY (tenant, account),
    FOREIGN KEY (tenant, account) REFERENCES accounts
);

-- What platforms said of accounts, each request once; the record of what was bought.
CREATE TABLE account_updates (
    tenant text NOT NULL,
    request_id uuid NOT NULL,
    account text NOT NULL,
    content_digest bytea NOT NULL CHECK (length(content_digest) = 32),
    credits integer NOT NULL CHECK (credits >= 0),
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, request_id),
    FOREIGN KEY (tenant, account) REFERENCES accounts
);

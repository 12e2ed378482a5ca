-- Rooms that are not the owner of the schema: what needs an owner is done by functions of his, for those who may.
-- depends: 0026.image_embeddings

ALTER FUNCTION create_decision_partitions(integer) SECURITY DEFINER;
ALTER FUNCTION create_decision_partitions(integer) SET search_path = public, pg_temp;
REVOKE EXECUTE ON FUNCTION create_decision_partitions(integer) FROM PUBLIC;

-- Makes pgvector and one encoder's index where they are missing. `model` is a sha256 in hex.
CREATE FUNCTION prepare_image_embeddings(model text, dimension integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF model !~ '^[0-9a-f]{64}$' OR dimension NOT BETWEEN 1 AND 4000 THEN
        RAISE EXCEPTION 'no model of an encoder' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('image_embeddings'));  -- several may start at once
    CREATE EXTENSION IF NOT EXISTS vector;
    EXECUTE format(
        'CREATE INDEX IF NOT EXISTS %I ON image_embeddings USING hnsw ((embedding::halfvec(%s)) halfvec_cosine_ops)'
        ' WHERE model = %L', 'image_embeddings_' || left(model, 40), dimension, model
    );
END
$$;
REVOKE EXECUTE ON FUNCTION prepare_image_embeddings(text, integer) FROM PUBLIC;

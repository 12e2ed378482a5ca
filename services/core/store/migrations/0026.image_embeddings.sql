-- What an encoder saw in a released picture: a unit vector. Plain numbers, so that a Postgres without pgvector has this
-- table too; a service that is given an encoder makes the index of its model (services/core/store/image_embeddings.py).
-- depends: 0025.owed_timestamps

CREATE TABLE image_embeddings (
    model text NOT NULL CHECK (model ~ '^[0-9a-f]{64}$'),
    image_id uuid NOT NULL REFERENCES images,
    embedding real[] NOT NULL,
    PRIMARY KEY (model, image_id)
);

-- The audit trail as one chain of hashes; rows from before it have none.
-- depends: 0007.audit 0010.desk

ALTER TABLE audit_events
    ADD COLUMN seq bigint UNIQUE,
    ADD COLUMN prev_hash bytea CHECK (length(prev_hash) = 32),
    ADD COLUMN hash bytea CHECK (length(hash) = 32),
    ADD CHECK (num_nonnulls(seq, prev_hash, hash) IN (0, 3));

-- The end of the chain: a cut tail is found by it. Its row's lock puts writers in order.
CREATE TABLE audit_chain (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    events bigint NOT NULL,
    head bytea NOT NULL CHECK (length(head) = 32)
);
INSERT INTO audit_chain (events, head) VALUES (0, decode(repeat('00', 32), 'hex'));

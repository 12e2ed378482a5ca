-- What a desk has behind it that has worked for months, beside the cases that wait: all that its pages look through.
-- No word of a prompt is in it, and no chain of hashes adds up.

-- Without the checks of each row that it refers to another one that is there.
SET session_replication_role = replica;

-- One settled case every ten seconds before those that wait; some were complaints, some are sealed.
INSERT INTO review_items (item_id, decision_id, tenant, account, stage, verdict, reasons, held, sealed, kind, subject,
    state, queue, priority, created_at, due_at, turn_at, resolution, decided_by, decided_at, effective_at, settled_at)
SELECT gen_random_uuid(), gen_random_uuid(), 'acme',
    CASE mod(n, 100) WHEN 0 THEN %(busy)s ELSE 'user-' || mod(n, %(accounts)s) END, 'prompt', 2, %(reasons)s, true,
    queue = 'sealed', kind, gen_random_uuid(), 'decided', queue, 3, at, at + interval '24 hours',
    at + interval '12 hours', CASE mod(n, 4) WHEN 0 THEN 'uphold' ELSE 'release' END,
    'analyst/' || mod(n, %(analysts)s), at + interval '1 hour', at + interval '1 hour', at + interval '1 hour'
FROM generate_series(1, %(settled)s) AS n, LATERAL (
    SELECT now() - %(waiting)s * interval '200 milliseconds' - n * interval '10 seconds' AS at,
        CASE mod(n, 50) WHEN 1 THEN 'report' WHEN 2 THEN 'appeal' ELSE 'content' END AS kind,
        CASE mod(n, 50) WHEN 1 THEN 'reports' WHEN 2 THEN 'appeals' WHEN 3 THEN 'sealed' ELSE 'default' END AS queue
) AS past;

-- Every twentieth case was judged twice.
INSERT INTO review_rounds (item_id, round, analyst, resolution, comment, seconds, decided_at, batch)
SELECT item_id, look, CASE look WHEN 1 THEN decided_by ELSE 'analyst/second' END,
    CASE WHEN look = 2 AND random() < 0.1 THEN 'uphold' ELSE resolution END, '', 5 + 60 * random(), decided_at,
    gen_random_uuid()
FROM review_items, generate_series(1, 1 + (mod(hashtext(item_id::text), 20) = 0)::int) AS look WHERE state = 'decided';

-- Pictures, two of three of them variations, and the complaints that wait.
INSERT INTO images (image_id, tenant, decision_id, payload_id, sha256, pdq, pdq_quality, phash, sketch, width, height,
    format, operation, parents, depth, model, policy, request_digest, manifest)
SELECT md5('image' || n)::uuid, 'acme', gen_random_uuid(), decode(left(md5(n::text), 16), 'hex'),
    sha256(n::text::bytea), ('x' || md5(n::text) || md5(n || 'b'))::bit(256), 90,
    ('x' || left(md5(n::text), 16))::bit(64), decode(repeat('00', 3072), 'hex'), 1024, 1024, 'PNG',
    CASE mod(n, 3) WHEN 0 THEN 'create' ELSE 'variation' END,
    CASE mod(n, 3) WHEN 0 THEN '{}' ELSE ARRAY[md5('image' || n - mod(n, 3))::uuid] END, 1 + (mod(n, 3) > 0)::int,
    '{"name": "scenes", "version": "1"}', repeat('cd', 32), repeat('ef', 32), ''
FROM generate_series(1, %(items)s / 20) AS n;

INSERT INTO review_items (item_id, decision_id, tenant, account, stage, verdict, reasons, held, sealed, kind, subject,
    state, queue, priority, created_at, due_at, turn_at)
SELECT gen_random_uuid(), gen_random_uuid(), 'acme', 'user-' || mod(n, %(accounts)s), 'output', 2, %(reasons)s, false,
    false, kind, CASE kind WHEN 'report' THEN md5('image' || n)::uuid ELSE gen_random_uuid() END, 'queued',
    kind || 's', 5, at, at + interval '24 hours', at + interval '20 hours'
FROM generate_series(1, %(items)s / 200) AS n, unnest(ARRAY['report', 'appeal', 'suspension']) AS kind,
    LATERAL (SELECT now() - n * interval '10 seconds' AS at) AS recorded;

ANALYZE review_items;

INSERT INTO reporters (tenant, reporter, upheld, dismissed)
SELECT 'acme', sha256(n::text::bytea), mod(n, 7), mod(n, 5) FROM generate_series(0, 999) AS n;

INSERT INTO reports (report_id, tenant, reporter, image_id, category, origin, item_id)
SELECT gen_random_uuid(), 'acme', sha256(mod(place + n, 1000)::text::bytea), subject, 'violence', 'altered', item_id
FROM (
    SELECT item_id, subject, row_number() OVER () AS place FROM review_items WHERE kind = 'report' AND state = 'queued'
) AS waiting, generate_series(0, 2) AS n;

-- A case of a thousand near-duplicates, cases in people's hands, and some that nobody has put into a queue yet.
UPDATE review_items SET leader = first.item_id FROM (
    SELECT item_id FROM review_items WHERE state = 'queued' AND queue = 'default' ORDER BY turn_at LIMIT 1
) AS first WHERE review_items.item_id IN (
    SELECT item_id FROM review_items WHERE state = 'queued' AND queue = 'default' ORDER BY turn_at OFFSET 1 LIMIT 1000
);

UPDATE review_items SET state = 'claimed', claimed_by = 'analyst/' || place, claim_token_sha256 = sha256('none'),
    claimed_at = now(), claim_expires_at = now() + interval '1 hour'
FROM (
    SELECT item_id, row_number() OVER (ORDER BY turn_at) AS place FROM review_items
    WHERE state = 'queued' AND queue = 'default' AND leader IS NULL ORDER BY turn_at OFFSET 1 LIMIT %(analysts)s
) AS taken WHERE taken.item_id = review_items.item_id;

UPDATE review_items SET state = 'pending', queue = '', due_at = NULL, turn_at = created_at WHERE item_id IN (
    SELECT item_id FROM review_items WHERE state = 'queued' AND queue = 'default' ORDER BY created_at DESC LIMIT 500
);

-- What led to all these cases, and what they led to.
INSERT INTO decisions (decision_id, request_id, tenant, account, operation, verdict, reasons, signals, policy, models,
    digests, created_at)
SELECT decision_id, gen_random_uuid(), tenant, account, 'create', verdict, reasons, '[]', repeat('ab', 32), '[]', '{}',
    created_at
FROM review_items;

INSERT INTO accounts (tenant, account) SELECT DISTINCT tenant, account FROM review_items;

INSERT INTO appeals (appeal_id, tenant, account, decision_id, item_id, due_at)
SELECT subject, tenant, account, decision_id, item_id, due_at FROM review_items WHERE kind = 'appeal';

INSERT INTO strikes (tenant, account, decision_id, source, category, stage, weight, sealed, at)
SELECT tenant, account, decision_id, 'upheld', 'violence', stage, 1, sealed, decided_at FROM review_items
WHERE resolution = 'uphold';

INSERT INTO standing_changes (change_id, tenant, account, before, step, mode, until, reason, who, note, at)
SELECT gen_random_uuid(), tenant, account, 'good', 'warned', CASE WHEN random() < 0.5 THEN 'shadow' ELSE 'enforce' END,
    at + interval '7 days', 'violence', 'portcullis', '', at
FROM strikes;

INSERT INTO waitlist (tenant, account, joined_at)
SELECT tenant, account, now() - random() * interval '90 days' FROM accounts LIMIT 20000;

INSERT INTO golden_cases (item_id, resolution, note, added_by)
SELECT item_id, resolution, 'known', 'analyst/1' FROM review_items
WHERE state = 'decided' AND kind = 'content' AND NOT sealed LIMIT 200;

-- What people did to the house, the first of them once; what the watch found, all but a thousand seen; reveals.
INSERT INTO audit_events (at, actor, action, subject, detail, seq, prev_hash, hash)
SELECT now() - (%(items)s / 4 - n) * interval '1 minute',
    CASE n WHEN 1 THEN 'operator' ELSE 'analyst/' || mod(n, %(analysts)s) END,
    CASE mod(n, 10) WHEN 0 THEN 'account.strikes_reversed' WHEN 1 THEN 'account.tier' ELSE 'staff.login' END,
    'acme/user-' || mod(n, %(accounts)s),
    CASE mod(n, 10) WHEN 0 THEN jsonb_build_object('decision', gen_random_uuid()) ELSE '{"why": "a reason"}' END,
    n, sha256((n - 1)::text::bytea), sha256(n::text::bytea)
FROM generate_series(1, %(items)s / 4) AS n;

UPDATE audit_chain SET events = %(items)s / 4, head = sha256('end');

INSERT INTO anomalies (anomaly_id, at, tenant, subject, rule, mode, action, explanation, facts, sealed, seen_by,
    seen_at)
SELECT gen_random_uuid(), at, 'acme', 'user-' || mod(n, %(accounts)s), 'velocity',
    CASE mod(n, 2) WHEN 0 THEN 'shadow' ELSE 'enforce' END, 'flag', '9 requests in a second', '{"times": 9}', false,
    CASE WHEN n > 1000 THEN 'analyst/1' END, CASE WHEN n > 1000 THEN at + interval '1 hour' END
FROM generate_series(1, %(items)s / 10) AS n, LATERAL (SELECT now() - n * interval '1 minute' AS at) AS fired;

INSERT INTO staff_reveals (reveal_id, name, item_id, category, sealed, at)
SELECT gen_random_uuid(), mod(n, %(analysts)s)::text, gen_random_uuid(), 'violence', false,
    now() - n * interval '1 second'
FROM generate_series(1, %(items)s / 10) AS n;

-- Banks of words, of people and of pictures.
INSERT INTO term_banks (tenant, bank, changed_by)
SELECT 'acme', 'words-' || n, 'bench' FROM generate_series(1, 20) AS n;
INSERT INTO terms (tenant, bank, term, kind, category, score, distance, near, not_near, within)
SELECT 'acme', 'words-' || 1 + mod(n, 20), 'term ' || n, 'exact', 'violence', 0.9, 0, '{}', '{}', 5
FROM generate_series(1, %(items)s / 50) AS n;

INSERT INTO people_banks (bank, changed_by) VALUES ('people', 'bench');
INSERT INTO people (bank, entry, name, aliases, score)
SELECT 'people', 'Q' || n, 'Person ' || md5(n::text), ARRAY['Alias ' || md5(n || 'b')], 0.9
FROM generate_series(1, %(items)s / 5) AS n;

INSERT INTO banks (bank, tenant, changed_by) VALUES ('pictures', NULL, 'bench');
INSERT INTO bank_entries (bank_id, entry, added_by)
SELECT bank_id, 'entry ' || n, 'bench' FROM banks, generate_series(1, %(items)s / 10) AS n;
INSERT INTO bank_hashes (entry_id, kind, part, hash)
SELECT entry_id, 'pdq', 0, sha256(entry::bytea) FROM bank_entries;

-- A hundred policies that were in force before the one that is.
INSERT INTO policies (policy_id, name, source, created_by)
SELECT encode(sha256(n::text::bytea), 'hex'), name, source || chr(10) || '# version ' || n, 'before'
FROM policies, generate_series(1, 100) AS n;
INSERT INTO policy_activations (policy_id, activated_by, activated_at)
SELECT policy_id, 'bench', now() - interval '1 day' FROM policies ORDER BY created_by <> 'before', policy_id;

RESET session_replication_role;

-- +goose Up

-- Facts that leave. One row is one message: events of one kind and tenant. incarnation and seq say where the broker
-- holds it; a row without them, or with those of a lost stream, is published (again). While claimed lies ahead, one of
-- several processes is publishing the row.
CREATE TABLE outbox (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    name        {{text}} NOT NULL,
    payload     {{json}} NOT NULL,
    trace       {{text}} NOT NULL,
    number      {{text}} NOT NULL,
    created_at  {{bigint}} NOT NULL,
    incarnation {{text}} NOT NULL DEFAULT '',
    seq         {{bigint}} NOT NULL DEFAULT 0,
    claimed     {{bigint}} NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "outbox"}}
CREATE INDEX outbox_open ON outbox (created_at) WHERE seq = 0;
CREATE INDEX outbox_seq ON outbox (incarnation, seq);

-- Facts that arrived: the message id, kept 30 days, drops repeats.
CREATE TABLE inbox (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    name        {{text}} NOT NULL,
    at          {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "inbox"}}
CREATE INDEX inbox_at ON inbox (at);

-- Up to where every message of each stream has had its effect in this database, a little late. A restored database is
-- behind the broker's acknowledgements: it shows here. Rows belong to no tenant (zero).
CREATE TABLE inbox_position (
    tenant_id   {{uuid}} NOT NULL,
    incarnation {{text}} NOT NULL,
    seq         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, incarnation)
){{strict}};
{{rls "inbox_position"}}

-- Messages and jobs that failed for good: a person sees and replays them.
CREATE TABLE dead_letter (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    source      {{text}} NOT NULL,
    kind        {{text}} NOT NULL,
    payload     {{json}} NOT NULL,
    attempts    {{int}} NOT NULL,
    error       {{text}} NOT NULL,
    trace       {{text}} NOT NULL,
    number      {{text}} NOT NULL,
    created_at  {{bigint}} NOT NULL,
    replayed_at {{bigint}},
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "dead_letter"}}
CREATE INDEX dead_letter_at ON dead_letter (created_at);

-- Requests that must take effect once: the key of the caller, the input's hash, what came of it. Ids only, never text.
CREATE TABLE idempotency (
    tenant_id   {{uuid}} NOT NULL,
    actor       {{text}} NOT NULL,
    op          {{text}} NOT NULL,
    key         {{text}} NOT NULL,
    hash        {{bytes}} NOT NULL,
    status      {{int}} NOT NULL DEFAULT 0,
    resource    {{text}} NOT NULL DEFAULT '',
    at          {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, actor, op, key)
){{strict}};
{{rls "idempotency"}}
CREATE INDEX idempotency_at ON idempotency (at);

-- The audit row of each use case, in its transaction; acts holds the several acts of a combined one. The audit context collects it and it is deleted here afterwards.
CREATE TABLE trail (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    at          {{bigint}} NOT NULL,
    actor       {{text}} NOT NULL,
    action      {{text}} NOT NULL,
    noun        {{text}} NOT NULL,
    object      {{text}} NOT NULL,
    policy      {{text}} NOT NULL,
    why         {{text}} NOT NULL,
    changed     {{json}} NOT NULL,
    origin      {{text}} NOT NULL,
    trace       {{text}} NOT NULL,
    number      {{text}} NOT NULL,
    acts        {{bytes}},
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "trail"}}
CREATE INDEX trail_at ON trail (at);

-- Timed work. (kind, key) is unique while the job is not done; months ahead is fine. again: it was asked for once more
-- while it ran, at run_at.
CREATE TABLE job (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    kind        {{text}} NOT NULL,
    key         {{text}} NOT NULL,
    payload     {{json}} NOT NULL,
    run_at      {{bigint}} NOT NULL,
    state       {{text}} NOT NULL CHECK (state IN ('ready', 'running', 'done', 'dead', 'cancelled')),
    attempts    {{int}} NOT NULL DEFAULT 0,
    max         {{int}} NOT NULL,
    again       {{int}} NOT NULL DEFAULT 0,
    owner       {{text}} NOT NULL DEFAULT '',
    lease_until {{bigint}} NOT NULL DEFAULT 0,
    error       {{text}} NOT NULL DEFAULT '',
    trace       {{text}} NOT NULL,
    number      {{text}} NOT NULL,
    created_at  {{bigint}} NOT NULL,
    done_at     {{bigint}},
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "job"}}
CREATE INDEX job_key ON job (tenant_id, kind, key);
CREATE UNIQUE INDEX job_open ON job (tenant_id, kind, key) WHERE state IN ('ready', 'running');
CREATE INDEX job_ready ON job (run_at) WHERE state = 'ready';
CREATE INDEX job_lease ON job (lease_until) WHERE state = 'running';
CREATE INDEX job_done ON job (done_at) WHERE state IN ('done', 'cancelled');

-- Which generations of the key of blind indexes are in force in this context's tables; no row is the first one alone. An odd generation
-- stands in the first column of an index, an even one in the second.
CREATE TABLE blind_generation (
    tenant_id {{uuid}} NOT NULL,
    oldest    {{int}} NOT NULL CHECK (oldest > 0),
    newest    {{int}} NOT NULL CHECK (newest BETWEEN oldest AND oldest + 1),
    PRIMARY KEY (tenant_id)
){{strict}};
{{rls "blind_generation"}}

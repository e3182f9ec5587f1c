-- +goose Up

-- Which root key this store lies under: one row, at the zero tenant. A process with another root key stops at its start. The seed
-- is of the keys that the platform derives; a rotation of the root key wraps it anew and leaves it.
CREATE TABLE root_check (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    fingerprint {{text}} NOT NULL,
    seed        {{bytes}} NOT NULL,
    created_at  {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "root_check"}}

-- Keys of a tenant, wrapped by the root key: wrap (over person keys), seal (fields of no person), index (blind indexes),
-- digest (keyed hashes of what lives for minutes), sign_sm2 and sign_p256 (heads of the tenant's log; PKCS #8).
CREATE TABLE tenant_key (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    kind        {{text}} NOT NULL CHECK (kind IN ('wrap', 'seal', 'index', 'digest', 'sign_sm2', 'sign_p256')),
    generation  {{int}} NOT NULL CHECK (generation > 0),
    algorithm   {{int}} NOT NULL CHECK (algorithm IN (1, 2)),
    wrapped     {{bytes}} NOT NULL,
    uses        {{bigint}} NOT NULL DEFAULT 0,
    created_at  {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, kind, generation)
){{strict}};
{{rls "tenant_key"}}

-- Keys of a person, wrapped by the tenant's wrap key. Destroying one keeps its row, without the key: nothing opens again.
-- Generation 1 is also the lock of the person: new generations and destruction take it first.
CREATE TABLE person_key (
    tenant_id    {{uuid}} NOT NULL,
    id           {{uuid}} NOT NULL,
    person_id    {{uuid}} NOT NULL,
    generation   {{int}} NOT NULL CHECK (generation > 0),
    algorithm    {{int}} NOT NULL CHECK (algorithm IN (1, 2)),
    wrapped      {{bytes}},
    uses         {{bigint}} NOT NULL DEFAULT 0,
    created_at   {{bigint}} NOT NULL,
    destroyed_at {{bigint}},
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, person_id, generation),
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
){{strict}};
{{rls "person_key"}}

-- Rotations of a tenant's keys; at most one is going on. The new generations stand in tenant_key; index_generation is that of the
-- blind indexes.
CREATE TABLE rotation (
    tenant_id        {{uuid}} NOT NULL,
    id               {{uuid}} NOT NULL,
    index_generation {{int}} NOT NULL CHECK (index_generation > 1),
    started_at       {{bigint}} NOT NULL,
    ended_at         {{bigint}},
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "rotation"}}
CREATE UNIQUE INDEX rotation_open ON rotation (tenant_id) WHERE ended_at IS NULL;

-- How far a rotation has come in a table: position is the last row that was looked at, as text; seen, found (under an older key) and
-- skipped (they did not open and stay as they are) count rows of the present pass, changed those of all.
CREATE TABLE rotation_part (
    tenant_id   {{uuid}} NOT NULL,
    rotation_id {{uuid}} NOT NULL,
    context     {{text}} NOT NULL,
    name        {{text}} NOT NULL,
    kind        {{text}} NOT NULL CHECK (kind IN ('seal', 'index')),
    phase       {{text}} NOT NULL CHECK (phase IN ('waiting', 'walking', 'filled', 'clearing', 'done')),
    pass        {{int}} NOT NULL DEFAULT 0,
    position    {{text}} NOT NULL DEFAULT '',
    seen        {{bigint}} NOT NULL DEFAULT 0,
    found       {{bigint}} NOT NULL DEFAULT 0,
    changed     {{bigint}} NOT NULL DEFAULT 0,
    skipped     {{bigint}} NOT NULL DEFAULT 0,
    pause_until {{bigint}} NOT NULL DEFAULT 0,
    updated_at  {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, rotation_id, context, name),
    FOREIGN KEY (tenant_id, rotation_id) REFERENCES rotation (tenant_id, id)
){{strict}};
{{rls "rotation_part"}}

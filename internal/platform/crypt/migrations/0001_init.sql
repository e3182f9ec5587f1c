-- +goose Up

-- Which root key this store was made with: one row, at the zero tenant. A process with another root key stops at its start.
CREATE TABLE root_check (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    fingerprint {{text}} NOT NULL,
    created_at  {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "root_check"}}

-- Keys of a tenant, wrapped by the root key: wrap (over person keys), seal (fields of no person), index (blind indexes),
-- sign_sm2 and sign_p256 (heads of the tenant's log; PKCS #8).
CREATE TABLE tenant_key (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    kind        {{text}} NOT NULL CHECK (kind IN ('wrap', 'seal', 'index', 'sign_sm2', 'sign_p256')),
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

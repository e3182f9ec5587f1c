-- +goose Up

-- One row a tenant: counts up with each bundle that begins to be applied, so that of two at once one is refused.
CREATE TABLE configuration (
    tenant_id  {{uuid}} NOT NULL,
    generation {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id)
){{strict}};
{{rls "configuration"}}

-- Bundles that were staged, whole, with what lived before them: the history of the configuration.
CREATE TABLE bundle (
    tenant_id  {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    state      {{text}} NOT NULL CHECK (state IN ('staged', 'discarded', 'applying', 'halted', 'live', 'replaced', 'rolled_back')),
    digest     {{text}} NOT NULL,
    document   {{text}} NOT NULL,
    before     {{text}} NOT NULL,
    undoes     {{uuid}},
    staged_by  {{text}} NOT NULL,
    staged_at  {{bigint}} NOT NULL,
    applied_by {{text}} NOT NULL,
    applied_at {{bigint}} NOT NULL,
    alone      {{int}} NOT NULL CHECK (alone IN (0, 1)),
    why        {{text}} NOT NULL,
    done       {{int}} NOT NULL,
    ended_at   {{bigint}} NOT NULL,
    halted_at  {{text}} NOT NULL,
    halted_by  {{text}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, undoes) REFERENCES bundle (tenant_id, id),
    CHECK (state IN ('staged', 'discarded') OR applied_by <> '' AND why <> ''),
    CHECK (state IN ('staged', 'discarded') OR alone = 1 OR undoes IS NOT NULL OR applied_by <> staged_by)
){{strict}};
{{rls "bundle"}}
CREATE UNIQUE INDEX bundle_open ON bundle (tenant_id) WHERE state IN ('applying', 'halted');
CREATE UNIQUE INDEX bundle_live ON bundle (tenant_id) WHERE state = 'live';
CREATE UNIQUE INDEX bundle_staged ON bundle (tenant_id, digest) WHERE state = 'staged';

-- Public keys beside the tenant's own whose bundles it takes.
CREATE TABLE trusted_key (
    tenant_id  {{uuid}} NOT NULL,
    name       {{text}} NOT NULL,
    title      {{text}} NOT NULL,
    public     {{bytes}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, name)
){{strict}};
{{rls "trusted_key"}}

-- How the tenant looks to the public; no row: the product's own look.
CREATE TABLE brand (
    tenant_id  {{uuid}} NOT NULL,
    short_name {{text}} NOT NULL,
    phone      {{text}} NOT NULL,
    accent     {{text}} NOT NULL,
    logo       {{bytes}},
    updated_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id)
){{strict}};
{{rls "brand"}}

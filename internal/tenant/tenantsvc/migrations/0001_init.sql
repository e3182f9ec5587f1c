-- +goose Up

-- The registry belongs to the installation, not to a tenant: ByHost reads it before any tenant is known. So all its rows
-- stand at the zero tenant. One row here: whether the data is demo data, and a version that every change counts up.
CREATE TABLE installation (
    tenant_id  {{uuid}} NOT NULL,
    demo       {{int}} NOT NULL CHECK (demo IN (0, 1)),
    version    {{bigint}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id),
    UNIQUE (tenant_id, demo)
){{strict}};
{{rls "installation"}}

-- Legal operators. The reference to the installation keeps demo data and real data apart.
CREATE TABLE tenant (
    tenant_id  {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    code       {{text}} NOT NULL,
    name       {{text}} NOT NULL,
    demo       {{int}} NOT NULL,
    version    {{bigint}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, code),
    FOREIGN KEY (tenant_id, demo) REFERENCES installation (tenant_id, demo)
){{strict}};
{{rls "tenant"}}

-- Public host names: the primary key gives each to one tenant.
CREATE TABLE host (
    tenant_id  {{uuid}} NOT NULL,
    name       {{text}} NOT NULL,
    owner      {{uuid}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, name),
    FOREIGN KEY (tenant_id, owner) REFERENCES tenant (tenant_id, id)
){{strict}};
{{rls "host"}}
CREATE INDEX host_owner ON host (tenant_id, owner);

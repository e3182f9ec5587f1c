-- +goose Up

-- Serve processes on this database, each with a lease that it renews. The rows belong to the installation: zero tenant.
CREATE TABLE process (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    host        {{text}} NOT NULL,
    version     {{text}} NOT NULL,
    modules     {{text}} NOT NULL,
    broker      {{text}} NOT NULL,
    keys        {{text}} NOT NULL,
    started_at  {{bigint}} NOT NULL,
    lease_until {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "process"}}

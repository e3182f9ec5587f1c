-- +goose Up

-- An import that was sent to the console's door; its id is the request's key. One of a kind runs at a time. The file itself
-- is nowhere but in the process that runs it, which keeps the lease. stop_visits: consent that a rota stops sessions which
-- people have booked. A report has places, codes and counts, of a rota the names of its doctors, and no values of patients.
CREATE TABLE import_run (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    kind        {{text}} NOT NULL CHECK (kind IN ('rota', 'fhir', 'icd10')),
    name        {{text}} NOT NULL,
    state       {{text}} NOT NULL CHECK (state IN ('running', 'done', 'refused', 'failed', 'interrupted')),
    dry_run     {{bool}} NOT NULL,
    stop_visits {{bool}} NOT NULL,
    actor       {{text}} NOT NULL,
    hash        {{bytes}} NOT NULL,
    bytes       {{bigint}} NOT NULL CHECK (bytes >= 0),
    read_bytes  {{bigint}} NOT NULL CHECK (read_bytes BETWEEN 0 AND bytes),
    lease_until {{bigint}} NOT NULL,
    started_at  {{bigint}} NOT NULL,
    ended_at    {{bigint}},
    report      {{json}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK ((state = 'running') = (ended_at IS NULL))
){{strict}};
{{rls "import_run"}}
CREATE UNIQUE INDEX import_run_one ON import_run (tenant_id, kind) WHERE state = 'running';
CREATE INDEX import_run_latest ON import_run (tenant_id, started_at, id);

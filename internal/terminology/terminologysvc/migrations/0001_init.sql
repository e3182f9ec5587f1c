-- +goose Up

-- A tenant's edition of a code system. The version counts the imports that changed it.
CREATE TABLE code_system (
    tenant_id  {{uuid}} NOT NULL,
    system     {{text}} NOT NULL CHECK (system IN ('icd10')),
    version    {{bigint}} NOT NULL CHECK (version > 0),
    concepts   {{bigint}} NOT NULL CHECK (concepts >= 0),
    updated_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, system)
){{strict}};
{{rls "code_system"}}

-- search is the code and the name in lower case and half-width; version is that of the last change.
CREATE TABLE concept (
    tenant_id {{uuid}} NOT NULL,
    system    {{text}} NOT NULL,
    code      {{text}} NOT NULL CHECK (code <> ''),
    name      {{text}} NOT NULL CHECK (name <> ''),
    search    {{text}} NOT NULL,
    version   {{bigint}} NOT NULL CHECK (version > 0),
    PRIMARY KEY (tenant_id, system, code),
    FOREIGN KEY (tenant_id, system) REFERENCES code_system (tenant_id, system)
){{strict}};
{{rls "concept"}}

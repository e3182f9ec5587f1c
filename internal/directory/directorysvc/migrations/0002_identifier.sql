-- +goose Up

-- What other systems call an entry (FHIR Identifier): an import finds it again by this. The value belongs to one entry of
-- a noun; an entry may have many.
CREATE TABLE identifier (
    tenant_id  {{uuid}} NOT NULL,
    noun       {{text}} NOT NULL CHECK (noun IN ('Organization', 'Campus', 'Department', 'Practitioner')),
    system     {{text}} NOT NULL,
    value      {{text}} NOT NULL CHECK (value <> ''),
    entry_id   {{uuid}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, noun, system, value)
){{strict}};
{{rls "identifier"}}
CREATE INDEX identifier_entry ON identifier (tenant_id, entry_id);

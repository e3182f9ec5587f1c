-- +goose Up

-- How the person came here: entered by an account, from a hospital's records, or registered at the desk. consent_at: when a
-- guardian consented at the desk; with an account the link has it (R55).
ALTER TABLE patient ADD COLUMN origin {{text}} NOT NULL DEFAULT 'account' CHECK (origin IN ('account', 'import', 'desk'));
ALTER TABLE patient ADD COLUMN consent_at {{bigint}};

-- What other systems call a person (FHIR Identifier): the value is sealed under the person's key and found by its blind index,
-- of system and value together. It has two columns, by odd and even generation of the index key. A shredded person has none.
CREATE TABLE identifier (
    tenant_id        {{uuid}} NOT NULL,
    id               {{uuid}} NOT NULL,
    patient_id       {{uuid}} NOT NULL,
    system           {{text}} NOT NULL,
    value            {{bytes}} NOT NULL,
    value_index      {{bytes}} CHECK (length(value_index) = 32),
    value_index_even {{bytes}} CHECK (length(value_index_even) = 32),
    created_at       {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK (value_index IS NOT NULL OR value_index_even IS NOT NULL),
    FOREIGN KEY (tenant_id, patient_id) REFERENCES patient (tenant_id, id)
){{strict}};
{{rls "identifier"}}
CREATE UNIQUE INDEX identifier_value ON identifier (tenant_id, value_index) WHERE value_index IS NOT NULL;
CREATE UNIQUE INDEX identifier_value_even ON identifier (tenant_id, value_index_even) WHERE value_index_even IS NOT NULL;
CREATE INDEX identifier_patient ON identifier (tenant_id, patient_id);

-- What a hospital's records know of a person beyond the patient's row (further names, telecom, addresses, contacts): one
-- JSON text, sealed under the person's key. A shredded person has none.
CREATE TABLE profile (
    tenant_id  {{uuid}} NOT NULL,
    patient_id {{uuid}} NOT NULL,
    sealed     {{bytes}} NOT NULL,
    updated_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, patient_id),
    FOREIGN KEY (tenant_id, patient_id) REFERENCES patient (tenant_id, id)
){{strict}};
{{rls "profile"}}

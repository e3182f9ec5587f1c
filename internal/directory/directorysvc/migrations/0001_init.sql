-- +goose Up

CREATE TABLE organization (
    tenant_id  {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    name       {{text}} NOT NULL,
    name_en    {{text}} NOT NULL,
    licences   {{json}} NOT NULL,
    version    {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "organization"}}

CREATE TABLE campus (
    tenant_id       {{uuid}} NOT NULL,
    id              {{uuid}} NOT NULL,
    organization_id {{uuid}} NOT NULL,
    name            {{text}} NOT NULL,
    name_en         {{text}} NOT NULL,
    address         {{text}} NOT NULL,
    phone           {{text}} NOT NULL,
    version         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name),
    FOREIGN KEY (tenant_id, organization_id) REFERENCES organization (tenant_id, id)
){{strict}};
{{rls "campus"}}

CREATE TABLE department (
    tenant_id  {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    campus_id  {{uuid}} NOT NULL,
    parent_id  {{uuid}},
    name       {{text}} NOT NULL,
    name_en    {{text}} NOT NULL,
    location   {{text}} NOT NULL,
    intro      {{text}} NOT NULL,
    version    {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, campus_id, name),
    UNIQUE (tenant_id, campus_id, id),
    CHECK (parent_id IS NULL OR parent_id <> id),
    FOREIGN KEY (tenant_id, campus_id) REFERENCES campus (tenant_id, id),
    FOREIGN KEY (tenant_id, campus_id, parent_id) REFERENCES department (tenant_id, campus_id, id)
){{strict}};
{{rls "department"}}

CREATE TABLE practitioner (
    tenant_id       {{uuid}} NOT NULL,
    id              {{uuid}} NOT NULL,
    licence         {{text}} NOT NULL,
    name            {{text}} NOT NULL,
    title           {{text}} NOT NULL,
    specialty       {{text}} NOT NULL,
    practising_from {{int}} NOT NULL,
    search          {{text}} NOT NULL,
    version         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, licence)
){{strict}};
{{rls "practitioner"}}

-- Where a practitioner works (FHIR PractitionerRole); main marks the one that lists show.
CREATE TABLE practitioner_role (
    tenant_id       {{uuid}} NOT NULL,
    practitioner_id {{uuid}} NOT NULL,
    department_id   {{uuid}} NOT NULL,
    main            {{bool}} NOT NULL,
    PRIMARY KEY (tenant_id, practitioner_id, department_id),
    FOREIGN KEY (tenant_id, practitioner_id) REFERENCES practitioner (tenant_id, id),
    FOREIGN KEY (tenant_id, department_id) REFERENCES department (tenant_id, id)
){{strict}};
{{rls "practitioner_role"}}
CREATE INDEX practitioner_role_department ON practitioner_role (tenant_id, department_id);

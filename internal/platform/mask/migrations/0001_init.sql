-- +goose Up

-- While a copy is made: which stand-in a value has, by a keyed hash of the value. It is deleted with the folder that it is in.
CREATE TABLE stand_in (
    tenant_id {{uuid}} NOT NULL,
    digest    {{bytes}} NOT NULL,
    kind      {{text}} NOT NULL,
    value     {{text}} NOT NULL,
    PRIMARY KEY (tenant_id, digest),
    UNIQUE (tenant_id, kind, value)
){{strict}};
{{rls "stand_in"}}

-- +goose Up

-- Collected trail rows of every context; append only.
CREATE TABLE audit_event (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    at          {{bigint}} NOT NULL,
    context     {{text}} NOT NULL,
    actor       {{text}} NOT NULL,
    action      {{text}} NOT NULL,
    noun        {{text}} NOT NULL,
    object      {{text}} NOT NULL,
    policy      {{text}} NOT NULL,
    why         {{text}} NOT NULL,
    changed     {{json}} NOT NULL,
    origin      {{text}} NOT NULL,
    trace       {{text}} NOT NULL,
    number      {{text}} NOT NULL,
    collected_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "audit_event"}}
CREATE INDEX audit_event_at ON audit_event (tenant_id, at);
CREATE INDEX audit_event_object ON audit_event (tenant_id, noun, object, at);
CREATE INDEX audit_event_actor ON audit_event (tenant_id, actor, at);

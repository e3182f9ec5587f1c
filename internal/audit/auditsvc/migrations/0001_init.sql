-- +goose Up

-- Collected trail rows of every context; append only. position is the row's place in the tenant's log.
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
    class       {{text}} NOT NULL,
    collected_at {{bigint}} NOT NULL,
    position    {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "audit_event"}}
CREATE UNIQUE INDEX audit_event_position ON audit_event (tenant_id, position);
CREATE INDEX audit_event_at ON audit_event (tenant_id, at);
CREATE INDEX audit_event_object ON audit_event (tenant_id, object, id);
CREATE INDEX audit_event_actor ON audit_event (tenant_id, actor, id);
CREATE INDEX audit_event_action ON audit_event (tenant_id, action, id);

-- Entries of the log that are no audit event, with their text: of other contexts, and what the log says about itself.
CREATE TABLE log_leaf (
    tenant_id   {{uuid}} NOT NULL,
    position    {{bigint}} NOT NULL,
    kind        {{text}} NOT NULL,
    ref         {{uuid}} NOT NULL,
    class       {{text}} NOT NULL,
    data        {{text}} NOT NULL,
    collected_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, position),
    UNIQUE (tenant_id, kind, ref)
){{strict}};
{{rls "log_leaf"}}

-- How long each tenant's log is, how many heads it has signed, how far it is closed into segments, which generation of keys signs it, at which
-- beginning it is (the second one after it was set back). The row is the lock of the log.
CREATE TABLE log_state (
    tenant_id   {{uuid}} NOT NULL,
    size        {{bigint}} NOT NULL,
    heads       {{bigint}} NOT NULL DEFAULT 0,
    segments    {{bigint}} NOT NULL DEFAULT 0,
    sealed      {{bigint}} NOT NULL DEFAULT 0,
    generation  {{int}} NOT NULL DEFAULT 1,
    beginning   {{int}} NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id)
){{strict}};
{{rls "log_state"}}

-- The tree: up to 256 neighbouring nodes of one level a row, each SHA-256 then SM3. Full ones never change and are never deleted.
CREATE TABLE log_tile (
    tenant_id   {{uuid}} NOT NULL,
    level       {{int}} NOT NULL,
    place       {{bigint}} NOT NULL,
    nodes       {{bytes}} NOT NULL,
    PRIMARY KEY (tenant_id, level, place)
){{strict}};
{{rls "log_tile"}}

-- Signed heads; note is the text with the log's signatures, and those of witnesses as they come. anchored_at: written outside of the database.
CREATE TABLE log_head (
    tenant_id   {{uuid}} NOT NULL,
    number      {{bigint}} NOT NULL,
    size        {{bigint}} NOT NULL,
    at          {{bigint}} NOT NULL,
    note        {{text}} NOT NULL,
    witnessed_at {{bigint}},
    anchored_at {{bigint}},
    PRIMARY KEY (tenant_id, number)
){{strict}};
{{rls "log_head"}}
CREATE INDEX log_head_size ON log_head (tenant_id, size);

-- The public keys that signed heads, by generation: PKIX. Who checks takes the keys that he was told, not these.
CREATE TABLE log_key (
    tenant_id   {{uuid}} NOT NULL,
    fingerprint {{text}} NOT NULL,
    generation  {{int}} NOT NULL,
    place       {{int}} NOT NULL,
    public      {{bytes}} NOT NULL,
    since       {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, fingerprint)
){{strict}};
{{rls "log_key"}}

-- Closed stretches of the log, and of which classes the texts are gone. What counts is in the log itself (audit.segment.v1, audit.disposal.v1).
CREATE TABLE log_segment (
    tenant_id   {{uuid}} NOT NULL,
    number      {{bigint}} NOT NULL,
    first       {{bigint}} NOT NULL,
    behind      {{bigint}} NOT NULL,
    sealed_at   {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, number)
){{strict}};
{{rls "log_segment"}}
CREATE TABLE log_disposal (
    tenant_id   {{uuid}} NOT NULL,
    segment     {{bigint}} NOT NULL,
    class       {{text}} NOT NULL,
    entries     {{bigint}} NOT NULL,
    due_at      {{bigint}} NOT NULL,
    logged_at   {{bigint}},
    done_at     {{bigint}},
    PRIMARY KEY (tenant_id, segment, class)
){{strict}};
{{rls "log_disposal"}}
CREATE INDEX log_disposal_open ON log_disposal (tenant_id, due_at) WHERE done_at IS NULL;

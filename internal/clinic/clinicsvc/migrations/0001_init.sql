-- +goose Up

-- The hospital's rules of its waiting lines, one row a tenant; without a row the defaults hold.
CREATE TABLE clinic_rules (
    tenant_id     {{uuid}} NOT NULL,
    early_minutes {{int}} NOT NULL CHECK (early_minutes BETWEEN 0 AND 720),
    late_minutes  {{int}} NOT NULL CHECK (late_minutes BETWEEN 0 AND 720),
    show_names    {{bool}} NOT NULL,
    version       {{bigint}} NOT NULL,
    updated_at    {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id)
){{strict}};
{{rls "clinic_rules"}}

-- The waiting line of a schedule, with its id. Who moves a turn updates this row first, so that the moves of a line go one
-- after the other. version counts every change; moved is the version of the last move of who is called, which a key of
-- the doctor is compared with. calls counts calls of next, special is the number of the last one of a special person
-- (package turnorder). known: times, place and periods were read from scheduling.
CREATE TABLE line (
    tenant_id       {{uuid}} NOT NULL,
    id              {{uuid}} NOT NULL,
    day             {{int}} NOT NULL,
    session         {{text}} NOT NULL CHECK (session IN ('morning', 'afternoon', 'evening')),
    campus_id       {{uuid}} NOT NULL,
    department_id   {{uuid}} NOT NULL,
    practitioner_id {{uuid}} NOT NULL,
    known           {{bool}} NOT NULL,
    stopped         {{bool}} NOT NULL,
    starts_at       {{bigint}} NOT NULL,
    ends_at         {{bigint}} NOT NULL,
    location        {{text}} NOT NULL,
    periods         {{json}} NOT NULL,
    paused_until    {{bigint}} NOT NULL DEFAULT 0,
    pause_reason    {{text}} NOT NULL DEFAULT '' CHECK (pause_reason IN ('', 'round', 'emergency', 'break', 'other')),
    calls           {{bigint}} NOT NULL DEFAULT 0 CHECK (calls >= 0),
    special         {{bigint}} NOT NULL DEFAULT 0,
    moved           {{bigint}} NOT NULL DEFAULT 0,
    version         {{bigint}} NOT NULL,
    created_at      {{bigint}} NOT NULL,
    updated_at      {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK (special >= 0 AND special <= calls),
    CHECK (moved <= version),
    CHECK (NOT known OR starts_at < ends_at),
    CHECK ((paused_until = 0) = (pause_reason = ''))
){{strict}};
{{rls "line"}}
CREATE INDEX line_day ON line (tenant_id, day, department_id);
CREATE INDEX line_practitioner ON line (tenant_id, practitioner_id, day);

-- A person's place in a line, with the id of the appointment. ends_at is 0 until the periods of the line are known.
-- special, joined, joined_at and passed are what package turnorder orders those who wait by; back counts how often the
-- person came back after a missed call. called_at to left_at is the last stay in the room (until seen or missed), the pace of
-- the line; announced_at is when the person was called last, recalls included.
CREATE TABLE turn (
    tenant_id     {{uuid}} NOT NULL,
    id            {{uuid}} NOT NULL,
    line_id       {{uuid}} NOT NULL,
    account_id    {{uuid}},
    patient_id    {{uuid}} NOT NULL,
    number        {{int}} NOT NULL CHECK (number > 0),
    starts_at     {{bigint}} NOT NULL,
    state         {{text}} NOT NULL CHECK (state IN ('expected', 'waiting', 'called', 'missed', 'done', 'gone')),
    late          {{bool}} NOT NULL,
    special       {{bool}} NOT NULL,
    joined        {{bigint}} NOT NULL DEFAULT 0,
    joined_at     {{bigint}} NOT NULL DEFAULT 0,
    passed        {{bigint}} NOT NULL DEFAULT 0,
    back          {{int}} NOT NULL DEFAULT 0,
    checked_in_at {{bigint}},
    called_at     {{bigint}},
    announced_at  {{bigint}},
    left_at       {{bigint}},
    calls         {{int}} NOT NULL DEFAULT 0,
    created_at    {{bigint}} NOT NULL,
    updated_at    {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK (state IN ('expected', 'gone') OR checked_in_at IS NOT NULL),
    CHECK (state NOT IN ('called', 'missed', 'done') OR called_at IS NOT NULL AND calls > 0),
    CHECK (called_at IS NULL OR called_at >= checked_in_at),
    FOREIGN KEY (tenant_id, line_id) REFERENCES line (tenant_id, id)
){{strict}};
{{rls "turn"}}
CREATE UNIQUE INDEX turn_called ON turn (tenant_id, line_id) WHERE state = 'called';
CREATE INDEX turn_line ON turn (tenant_id, line_id, state, number);

-- Every transition of a turn; the first state, expected, has none. act_id is the audit row's.
CREATE TABLE turn_history (
    tenant_id  {{uuid}} NOT NULL,
    turn_id    {{uuid}} NOT NULL,
    seq        {{bigint}} NOT NULL,
    from_state {{text}} NOT NULL,
    to_state   {{text}} NOT NULL,
    at         {{bigint}} NOT NULL,
    act_id     {{uuid}} NOT NULL,
    PRIMARY KEY (tenant_id, turn_id, seq),
    FOREIGN KEY (tenant_id, turn_id) REFERENCES turn (tenant_id, id)
){{strict}};
{{rls "turn_history"}}

-- A wall's right to look. The token is nowhere: only its SHA-256.
CREATE TABLE display (
    tenant_id    {{uuid}} NOT NULL,
    id           {{uuid}} NOT NULL,
    name         {{text}} NOT NULL,
    campus_id    {{uuid}} NOT NULL,
    departments  {{json}} NOT NULL,
    token_hash   {{bytes}} NOT NULL,
    created_at   {{bigint}} NOT NULL,
    last_seen_at {{bigint}},
    expires_at   {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, token_hash)
){{strict}};
{{rls "display"}}

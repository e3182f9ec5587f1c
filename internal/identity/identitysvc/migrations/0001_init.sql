-- +goose Up

-- Codes sent to phones. The code itself is nowhere: only a keyed hash that is bound to this row, its phone and purpose.
-- A row is consumed by one conditional update.
CREATE TABLE challenge (
    tenant_id    {{uuid}} NOT NULL,
    id           {{uuid}} NOT NULL,
    purpose      {{text}} NOT NULL CHECK (purpose IN ('login', 'proof')),
    phone_index  {{bytes}} NOT NULL,
    phone_sealed {{bytes}} NOT NULL,
    code_hash    {{bytes}} NOT NULL,
    tries        {{int}} NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND 5),
    created_at   {{bigint}} NOT NULL,
    expires_at   {{bigint}} NOT NULL,
    used_at      {{bigint}},
    PRIMARY KEY (tenant_id, id),
    CHECK (used_at IS NULL OR tries > 0)
){{strict}};
{{rls "challenge"}}
CREATE INDEX challenge_expires ON challenge (tenant_id, expires_at);

-- How often something was done for a subject (the blind index of a phone, an address or a user name) within a window.
CREATE TABLE budget (
    tenant_id {{uuid}} NOT NULL,
    kind      {{text}} NOT NULL CHECK (kind IN ('phone', 'address', 'login')),
    subject   {{bytes}} NOT NULL,
    used      {{int}} NOT NULL CHECK (used > 0),
    opened_at {{bigint}} NOT NULL,
    last_at   {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, kind, subject)
){{strict}};
{{rls "budget"}}
CREATE INDEX budget_last ON budget (tenant_id, last_at);

-- Accounts of patients (a phone) and of staff (user name, password, TOTP).
CREATE TABLE account (
    tenant_id       {{uuid}} NOT NULL,
    id              {{uuid}} NOT NULL,
    kind            {{text}} NOT NULL CHECK (kind IN ('patient', 'staff')),
    state           {{text}} NOT NULL CHECK (state IN ('active', 'disabled')),
    phone_index     {{bytes}},
    phone_sealed    {{bytes}},
    username        {{text}},
    name_sealed     {{bytes}},
    password_hash   {{text}},
    totp_sealed     {{bytes}},
    totp_step       {{bigint}} NOT NULL DEFAULT 0,
    practitioner_id {{uuid}},
    version         {{bigint}} NOT NULL,
    created_at      {{bigint}} NOT NULL,
    last_login_at   {{bigint}},
    PRIMARY KEY (tenant_id, id),
    CHECK (kind <> 'patient' OR (phone_index IS NOT NULL AND phone_sealed IS NOT NULL AND username IS NULL AND password_hash IS NULL)),
    CHECK (kind <> 'staff' OR (username IS NOT NULL AND name_sealed IS NOT NULL AND password_hash IS NOT NULL AND totp_sealed IS NOT NULL
        AND phone_index IS NULL))
){{strict}};
{{rls "account"}}
CREATE UNIQUE INDEX account_phone ON account (tenant_id, phone_index) WHERE phone_index IS NOT NULL;
CREATE UNIQUE INDEX account_username ON account (tenant_id, username) WHERE username IS NOT NULL;

-- Roles of staff, within an organization or (zero) in the whole tenant. The three administrators exclude each other (R58).
CREATE TABLE role_grant (
    tenant_id       {{uuid}} NOT NULL,
    account_id      {{uuid}} NOT NULL,
    role            {{text}} NOT NULL CHECK (role IN ('doctor', 'nurse', 'registrar', 'operator', 'system_admin', 'security_admin', 'audit_admin')),
    organization_id {{uuid}} NOT NULL,
    created_at      {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, account_id, role, organization_id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES account (tenant_id, id)
){{strict}};
{{rls "role_grant"}}
CREATE UNIQUE INDEX role_grant_one_administrator ON role_grant (tenant_id, account_id)
    WHERE role IN ('system_admin', 'security_admin', 'audit_admin');

-- A login: of a browser (its cookie) or of an API client (the family of its tokens).
CREATE TABLE session (
    tenant_id    {{uuid}} NOT NULL,
    id           {{uuid}} NOT NULL,
    account_id   {{uuid}} NOT NULL,
    factors      {{int}} NOT NULL CHECK (factors BETWEEN 1 AND 3),
    device       {{text}} NOT NULL,
    created_at   {{bigint}} NOT NULL,
    last_seen_at {{bigint}} NOT NULL,
    idle_at      {{bigint}} NOT NULL,
    expires_at   {{bigint}} NOT NULL,
    ended_at     {{bigint}},
    end_reason   {{text}} NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES account (tenant_id, id),
    CHECK ((ended_at IS NULL) = (end_reason = ''))
){{strict}};
{{rls "session"}}
CREATE INDEX session_account ON session (tenant_id, account_id, id);
CREATE INDEX session_expires ON session (tenant_id, expires_at);

-- What a session shows: SHA-256 of 32 random bytes. A refresh token is used once; the used ones stay until they would
-- have expired, to recognise a reuse.
CREATE TABLE token (
    tenant_id  {{uuid}} NOT NULL,
    hash       {{bytes}} NOT NULL,
    session_id {{uuid}} NOT NULL,
    kind       {{text}} NOT NULL CHECK (kind IN ('cookie', 'access', 'refresh')),
    created_at {{bigint}} NOT NULL,
    expires_at {{bigint}} NOT NULL,
    used_at    {{bigint}},
    PRIMARY KEY (tenant_id, hash),
    FOREIGN KEY (tenant_id, session_id) REFERENCES session (tenant_id, id),
    CHECK (used_at IS NULL OR kind = 'refresh')
){{strict}};
{{rls "token"}}
CREATE INDEX token_session ON token (tenant_id, session_id);
CREATE INDEX token_expires ON token (tenant_id, expires_at);

-- Accounts that the demo's login page shows. Empty without --demo.
CREATE TABLE demo_account (
    tenant_id       {{uuid}} NOT NULL,
    account_id      {{uuid}} NOT NULL,
    position        {{int}} NOT NULL,
    label           {{text}} NOT NULL,
    label_en        {{text}} NOT NULL,
    password_sealed {{bytes}},
    PRIMARY KEY (tenant_id, account_id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES account (tenant_id, id)
){{strict}};
{{rls "demo_account"}}

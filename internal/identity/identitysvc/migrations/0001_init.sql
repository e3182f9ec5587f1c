-- +goose Up

-- Codes sent to phones. The code itself is nowhere: only a keyed hash that is bound to this row, its phone and purpose.
-- A row is consumed by one conditional update.
CREATE TABLE challenge (
    tenant_id    {{uuid}} NOT NULL,
    id           {{uuid}} NOT NULL,
    purpose      {{text}} NOT NULL CHECK (purpose IN ('login', 'proof', 'step_up')),
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
    kind      {{text}} NOT NULL CHECK (kind IN ('phone', 'address', 'login', 'device', 'failed_password', 'failed_passkey', 'ceremony', 'step_up', 'idp_login', 'failed_idp', 'idp_proof')),
    subject   {{bytes}} NOT NULL,
    used      {{int}} NOT NULL CHECK (used > 0),
    opened_at {{bigint}} NOT NULL,
    last_at   {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, kind, subject)
){{strict}};
{{rls "budget"}}
CREATE INDEX budget_last ON budget (tenant_id, last_at);

-- Accounts of patients (a phone, with its blind indexes by odd and even generation of the key) and of staff (user name, password, TOTP).
CREATE TABLE account (
    tenant_id        {{uuid}} NOT NULL,
    id               {{uuid}} NOT NULL,
    kind             {{text}} NOT NULL CHECK (kind IN ('patient', 'staff')),
    state            {{text}} NOT NULL CHECK (state IN ('active', 'disabled', 'closed')),
    phone_index      {{bytes}},
    phone_index_even {{bytes}},
    phone_sealed     {{bytes}},
    username         {{text}},
    name_sealed      {{bytes}},
    password_hash    {{text}},
    totp_sealed      {{bytes}},
    totp_step        {{bigint}} NOT NULL DEFAULT 0,
    practitioner_id  {{uuid}},
    version          {{bigint}} NOT NULL,
    created_at       {{bigint}} NOT NULL,
    last_login_at    {{bigint}},
    PRIMARY KEY (tenant_id, id),
    CHECK (state <> 'closed' OR (kind = 'patient' AND phone_index IS NULL AND phone_index_even IS NULL AND phone_sealed IS NULL AND name_sealed IS NULL)),
    CHECK (kind <> 'patient' OR state = 'closed' OR ((phone_index IS NOT NULL OR phone_index_even IS NOT NULL) AND phone_sealed IS NOT NULL AND username IS NULL AND password_hash IS NULL)),
    CHECK (kind <> 'staff' OR (username IS NOT NULL AND name_sealed IS NOT NULL AND password_hash IS NOT NULL AND totp_sealed IS NOT NULL
        AND phone_index IS NULL AND phone_index_even IS NULL))
){{strict}};
{{rls "account"}}
CREATE UNIQUE INDEX account_phone ON account (tenant_id, phone_index) WHERE phone_index IS NOT NULL;
CREATE UNIQUE INDEX account_phone_even ON account (tenant_id, phone_index_even) WHERE phone_index_even IS NOT NULL;
CREATE UNIQUE INDEX account_username ON account (tenant_id, username) WHERE username IS NOT NULL;

-- Roles of staff, within an organization or (zero) in the whole tenant. The three administrators exclude each other (R58).
CREATE TABLE role_grant (
    tenant_id       {{uuid}} NOT NULL,
    account_id      {{uuid}} NOT NULL,
    role            {{text}} NOT NULL CHECK (role IN ('doctor', 'nurse', 'registrar', 'operator', 'privacy_officer', 'system_admin', 'security_admin', 'audit_admin')),
    organization_id {{uuid}} NOT NULL,
    created_at      {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, account_id, role, organization_id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES account (tenant_id, id)
){{strict}};
{{rls "role_grant"}}
CREATE UNIQUE INDEX role_grant_one_administrator ON role_grant (tenant_id, account_id)
    WHERE role IN ('system_admin', 'security_admin', 'audit_admin');

-- Identity providers: others that prove who somebody is. What says who its people are (kind, accounts, issuer, client_id) never
-- changes, or the subjects of one would open the accounts of another's. strong are the acr and amr values that count as two factors.
CREATE TABLE idp (
    tenant_id     {{uuid}} NOT NULL,
    id            {{uuid}} NOT NULL,
    key           {{text}} NOT NULL,
    kind          {{text}} NOT NULL CHECK (kind IN ('oidc', 'wechat')),
    accounts      {{text}} NOT NULL CHECK (accounts IN ('patient', 'staff')),
    name          {{text}} NOT NULL,
    name_en       {{text}} NOT NULL,
    issuer        {{text}} NOT NULL,
    pages         {{text}} NOT NULL,
    client_id     {{text}} NOT NULL,
    secret_sealed {{bytes}} NOT NULL,
    secret_post   {{bool}} NOT NULL,
    scopes        {{text}} NOT NULL,
    strong        {{json}} NOT NULL,
    version       {{bigint}} NOT NULL,
    created_at    {{bigint}} NOT NULL,
    disabled_at   {{bigint}},
    PRIMARY KEY (tenant_id, id),
    CHECK ((kind = 'wechat') = (pages <> ''))
){{strict}};
{{rls "idp"}}
CREATE UNIQUE INDEX idp_key ON idp (tenant_id, key);

-- A login: of a browser (its cookie) or of an API client (the family of its tokens). proved_at is when its person last proved
-- to be there: by the login itself, or by a step-up since.
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
    method       {{text}} NOT NULL DEFAULT 'code' CHECK (method IN ('code', 'password', 'passkey', 'idp')),
    proved_at    {{bigint}} NOT NULL DEFAULT 0,
    idp_id       {{uuid}},
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES account (tenant_id, id),
    FOREIGN KEY (tenant_id, idp_id) REFERENCES idp (tenant_id, id),
    CHECK ((ended_at IS NULL) = (end_reason = '')),
    CHECK ((method = 'idp') = (idp_id IS NOT NULL))
){{strict}};
{{rls "session"}}
CREATE INDEX session_account ON session (tenant_id, account_id, id);
CREATE INDEX session_idp ON session (tenant_id, idp_id) WHERE idp_id IS NOT NULL;
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

-- Tries to log in to an account that were refused, for its owner to see. Unknown names leave none.
CREATE TABLE refused_login (
    tenant_id  {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    account_id {{uuid}} NOT NULL,
    method     {{text}} NOT NULL CHECK (method IN ('code', 'password', 'passkey', 'idp')),
    device     {{text}} NOT NULL,
    at         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES account (tenant_id, id)
){{strict}};
{{rls "refused_login"}}
CREATE INDEX refused_login_account ON refused_login (tenant_id, account_id, id);
CREATE INDEX refused_login_at ON refused_login (tenant_id, at);

-- Who an account is to its authenticators: random, so that the handle tells nothing of the person.
CREATE TABLE passkey_owner (
    tenant_id  {{uuid}} NOT NULL,
    account_id {{uuid}} NOT NULL,
    handle     {{bytes}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, account_id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES account (tenant_id, id)
){{strict}};
{{rls "passkey_owner"}}
CREATE UNIQUE INDEX passkey_owner_handle ON passkey_owner (tenant_id, handle);

-- Passkeys (WebAuthn credentials), each good on one host of the tenant. One whose counter went back is blocked: it has a copy.
CREATE TABLE passkey (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    account_id  {{uuid}} NOT NULL,
    credential  {{bytes}} NOT NULL,
    public_key  {{bytes}} NOT NULL,
    host        {{text}} NOT NULL,
    name_sealed {{bytes}} NOT NULL,
    transports  {{json}} NOT NULL,
    synced      {{bool}} NOT NULL,
    sign_count  {{bigint}} NOT NULL CHECK (sign_count >= 0),
    created_at  {{bigint}} NOT NULL,
    used_at     {{bigint}},
    blocked_at  {{bigint}},
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES passkey_owner (tenant_id, account_id)
){{strict}};
{{rls "passkey"}}
CREATE UNIQUE INDEX passkey_credential ON passkey (tenant_id, credential);
CREATE INDEX passkey_account ON passkey (tenant_id, account_id, id);

-- What was asked of an authenticator (or, totp, of an authenticator app) and waits for its answer: the SHA-256 of the handle in
-- the browser, and the challenge. Whatever comes of it, an answer deletes it.
CREATE TABLE ceremony (
    tenant_id  {{uuid}} NOT NULL,
    hash       {{bytes}} NOT NULL,
    kind       {{text}} NOT NULL CHECK (kind IN ('add', 'login', 'step_up', 'totp')),
    challenge  {{bytes}} NOT NULL,
    account_id {{uuid}},
    origin     {{text}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    expires_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, hash),
    CHECK ((kind = 'login') = (account_id IS NULL))
){{strict}};
{{rls "ceremony"}}
CREATE INDEX ceremony_expires ON ceremony (tenant_id, expires_at);

-- Who somebody is to an identity provider: a blind index of provider and subject. An account has one subject of a provider.
CREATE TABLE idp_link (
    tenant_id          {{uuid}} NOT NULL,
    id                 {{uuid}} NOT NULL,
    idp_id             {{uuid}} NOT NULL,
    account_id         {{uuid}} NOT NULL,
    subject_index      {{bytes}},
    subject_index_even {{bytes}},
    subject_sealed     {{bytes}} NOT NULL,
    created_at         {{bigint}} NOT NULL,
    used_at            {{bigint}},
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, idp_id) REFERENCES idp (tenant_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES account (tenant_id, id),
    CHECK (subject_index IS NOT NULL OR subject_index_even IS NOT NULL)
){{strict}};
{{rls "idp_link"}}
CREATE UNIQUE INDEX idp_link_subject ON idp_link (tenant_id, subject_index) WHERE subject_index IS NOT NULL;
CREATE UNIQUE INDEX idp_link_subject_even ON idp_link (tenant_id, subject_index_even) WHERE subject_index_even IS NOT NULL;
CREATE UNIQUE INDEX idp_link_account ON idp_link (tenant_id, account_id, idp_id);

-- A login or a link that waits: for the provider's answer (asked: hash is of the state), then for the second factor of the account
-- (totp) or for the phone of a new person (phone; both: hash is of the browser's cookie). browser is the SHA-256 of the cookie;
-- sealed has the verifier and nonce, or the subject. An answer deletes it.
CREATE TABLE idp_login (
    tenant_id  {{uuid}} NOT NULL,
    hash       {{bytes}} NOT NULL,
    stage      {{text}} NOT NULL CHECK (stage IN ('asked', 'totp', 'phone')),
    browser    {{bytes}} NOT NULL,
    idp_id     {{uuid}} NOT NULL,
    account_id {{uuid}},
    session_id {{uuid}},
    sealed     {{bytes}},
    next       {{text}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    expires_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, hash),
    FOREIGN KEY (tenant_id, idp_id) REFERENCES idp (tenant_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES account (tenant_id, id),
    CHECK (session_id IS NULL OR stage = 'asked' AND account_id IS NOT NULL),
    CHECK (stage <> 'totp' OR account_id IS NOT NULL),
    CHECK (stage <> 'phone' OR account_id IS NULL)
){{strict}};
{{rls "idp_login"}}
CREATE INDEX idp_login_expires ON idp_login (tenant_id, expires_at);

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

-- Other systems that people log in to with their account here, or that act by themselves (OAuth clients). A secret is 256
-- random bits, of which the SHA-256 is stored; the one before it is good until old_until.
CREATE TABLE client (
    tenant_id     {{uuid}} NOT NULL,
    id            {{uuid}} NOT NULL,
    name          {{text}} NOT NULL,
    name_en       {{text}} NOT NULL,
    public        {{bool}} NOT NULL,
    first_party   {{bool}} NOT NULL,
    accounts      {{text}} NOT NULL CHECK (accounts IN ('patient', 'staff', 'any')),
    grants        {{json}} NOT NULL,
    scopes        {{json}} NOT NULL,
    redirect_uris {{json}} NOT NULL,
    logout_uris   {{json}} NOT NULL,
    back_channel  {{text}} NOT NULL,
    sector        {{text}} NOT NULL,
    secret_hash   {{bytes}},
    old_hash      {{bytes}},
    old_until     {{bigint}},
    state         {{text}} NOT NULL CHECK (state IN ('active', 'disabled')),
    version       {{bigint}} NOT NULL,
    created_at    {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK ((old_hash IS NULL) = (old_until IS NULL)),
    CHECK (old_hash IS NULL OR secret_hash IS NOT NULL)
){{strict}};
{{rls "client"}}

-- Who somebody is to the clients of one sector: random, so that two sectors cannot compare.
CREATE TABLE client_subject (
    tenant_id  {{uuid}} NOT NULL,
    sector     {{text}} NOT NULL,
    account_id {{uuid}} NOT NULL,
    subject    {{text}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, sector, account_id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES account (tenant_id, id)
){{strict}};
{{rls "client_subject"}}
CREATE UNIQUE INDEX client_subject_subject ON client_subject (tenant_id, subject);

-- What somebody allowed a client, until it is withdrawn.
CREATE TABLE client_consent (
    tenant_id  {{uuid}} NOT NULL,
    account_id {{uuid}} NOT NULL,
    client_id  {{uuid}} NOT NULL,
    scopes     {{json}} NOT NULL,
    given_at   {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, account_id, client_id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES account (tenant_id, id),
    FOREIGN KEY (tenant_id, client_id) REFERENCES client (tenant_id, id)
){{strict}};
{{rls "client_consent"}}

-- An authorization request that waits for its person: the SHA-256 of the handle in their browser, and what was asked.
CREATE TABLE login_request (
    tenant_id    {{uuid}} NOT NULL,
    hash         {{bytes}} NOT NULL,
    client_id    {{uuid}} NOT NULL,
    issuer       {{text}} NOT NULL,
    redirect_uri {{text}} NOT NULL,
    scopes       {{json}} NOT NULL,
    client_state {{text}} NOT NULL,
    nonce        {{text}} NOT NULL,
    challenge    {{text}} NOT NULL,
    prompts      {{json}} NOT NULL,
    max_age_s    {{bigint}} NOT NULL,
    hint         {{text}} NOT NULL,
    created_at   {{bigint}} NOT NULL,
    expires_at   {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, hash),
    FOREIGN KEY (tenant_id, client_id) REFERENCES client (tenant_id, id)
){{strict}};
{{rls "login_request"}}
CREATE INDEX login_request_expires ON login_request (tenant_id, expires_at);

-- What a client may do for a person (or, without one, by itself): the family of its code and tokens. It lives as long as
-- the session that it came of, or as an offline one until expires_at. The session's row may be gone before.
CREATE TABLE client_grant (
    tenant_id        {{uuid}} NOT NULL,
    id               {{uuid}} NOT NULL,
    client_id        {{uuid}} NOT NULL,
    account_id       {{uuid}},
    session_id       {{uuid}},
    issuer           {{text}} NOT NULL,
    subject          {{text}} NOT NULL,
    scopes           {{json}} NOT NULL,
    nonce            {{text}} NOT NULL,
    redirect_uri     {{text}} NOT NULL,
    challenge        {{text}} NOT NULL,
    offline          {{bool}} NOT NULL,
    kind             {{text}} NOT NULL CHECK (kind IN ('', 'patient', 'staff')),
    factors          {{int}} NOT NULL,
    authenticated_at {{bigint}} NOT NULL,
    created_at       {{bigint}} NOT NULL,
    expires_at       {{bigint}} NOT NULL,
    ended_at         {{bigint}},
    end_reason       {{text}} NOT NULL DEFAULT '',
    method           {{text}} NOT NULL DEFAULT '' CHECK (method IN ('', 'code', 'password', 'passkey', 'idp')),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, client_id) REFERENCES client (tenant_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES account (tenant_id, id),
    CHECK ((account_id IS NULL) = (session_id IS NULL)),
    CHECK ((account_id IS NULL) = (kind = '')),
    CHECK ((ended_at IS NULL) = (end_reason = ''))
){{strict}};
{{rls "client_grant"}}
CREATE INDEX client_grant_account ON client_grant (tenant_id, account_id, session_id);
CREATE INDEX client_grant_client ON client_grant (tenant_id, client_id);
CREATE INDEX client_grant_expires ON client_grant (tenant_id, expires_at);

-- Codes and tokens of clients: SHA-256 of 32 random bytes. A code or refresh token is used once; the used ones stay until
-- they would have expired, to recognise a second use.
CREATE TABLE client_token (
    tenant_id  {{uuid}} NOT NULL,
    hash       {{bytes}} NOT NULL,
    grant_id   {{uuid}} NOT NULL,
    kind       {{text}} NOT NULL CHECK (kind IN ('code', 'access', 'refresh')),
    scopes     {{json}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    expires_at {{bigint}} NOT NULL,
    used_at    {{bigint}},
    PRIMARY KEY (tenant_id, hash),
    FOREIGN KEY (tenant_id, grant_id) REFERENCES client_grant (tenant_id, id)
){{strict}};
{{rls "client_token"}}
CREATE INDEX client_token_grant ON client_token (tenant_id, grant_id);
CREATE INDEX client_token_expires ON client_token (tenant_id, expires_at);

-- A device without a keyboard that waits for somebody to confirm it (RFC 8628). The short code is a blind index.
CREATE TABLE device_login (
    tenant_id  {{uuid}} NOT NULL,
    hash       {{bytes}} NOT NULL,
    user_code  {{bytes}} NOT NULL,
    client_id  {{uuid}} NOT NULL,
    issuer     {{text}} NOT NULL,
    scopes     {{json}} NOT NULL,
    state      {{text}} NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'used')),
    grant_id   {{uuid}},
    interval_s {{int}} NOT NULL,
    polled_at  {{bigint}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    expires_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, hash),
    FOREIGN KEY (tenant_id, client_id) REFERENCES client (tenant_id, id),
    FOREIGN KEY (tenant_id, grant_id) REFERENCES client_grant (tenant_id, id),
    CHECK ((state IN ('approved', 'used')) = (grant_id IS NOT NULL))
){{strict}};
{{rls "device_login"}}
CREATE UNIQUE INDEX device_login_user_code ON device_login (tenant_id, user_code);
CREATE INDEX device_login_expires ON device_login (tenant_id, expires_at);

-- Keys that sign for the tenant (ES256), the private half sealed. A key is published before it signs and stays published
-- until the last token that it signed has ended.
CREATE TABLE signing_key (
    tenant_id  {{uuid}} NOT NULL,
    number     {{int}} NOT NULL,
    kid        {{text}} NOT NULL,
    public_key {{bytes}} NOT NULL,
    sealed     {{bytes}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    signs_at   {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, number),
    CHECK (signs_at >= created_at)
){{strict}};
{{rls "signing_key"}}
CREATE UNIQUE INDEX signing_key_kid ON signing_key (tenant_id, kid);

-- +goose Up

-- How to reach an account; the phone is sealed under the tenant's key.
CREATE TABLE contact (
    tenant_id  {{uuid}} NOT NULL,
    account_id {{uuid}} NOT NULL,
    phone      {{bytes}} NOT NULL,
    at         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, account_id)
){{strict}};
{{rls "contact"}}

-- What an account wants to hear on which channel and when not (minutes of the day in Shanghai). No row: everything, and
-- quiet at night.
CREATE TABLE preference (
    tenant_id  {{uuid}} NOT NULL,
    account_id {{uuid}} NOT NULL,
    topics     {{json}} NOT NULL,
    quiet      {{bool}} NOT NULL,
    quiet_from {{int}} NOT NULL CHECK (quiet_from BETWEEN 0 AND 1439),
    quiet_to   {{int}} NOT NULL CHECK (quiet_to BETWEEN 0 AND 1439),
    version    {{bigint}} NOT NULL CHECK (version > 0),
    at         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, account_id)
){{strict}};
{{rls "preference"}}

-- One message on one channel. Facts (params) and the address (phone or mail) are sealed; texts are rendered when they are
-- read or sent. due_at: put off until the end of quiet hours.
CREATE TABLE delivery (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    message_id  {{uuid}} NOT NULL,
    account_id  {{uuid}},
    channel     {{text}} NOT NULL CHECK (channel IN ('in_app', 'sms', 'mail', 'push')),
    template    {{text}} NOT NULL,
    params      {{bytes}} NOT NULL,
    address     {{bytes}},
    state       {{text}} NOT NULL CHECK (state IN ('queued', 'sent', 'failed', 'read')),
    attempts    {{int}} NOT NULL DEFAULT 0,
    reference   {{text}} NOT NULL DEFAULT '',
    why         {{text}} NOT NULL DEFAULT '',
    expires_at  {{bigint}},
    due_at      {{bigint}},
    created_at  {{bigint}} NOT NULL,
    sent_at     {{bigint}},
    read_at     {{bigint}},
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, message_id, channel)
){{strict}};
{{rls "delivery"}}
CREATE INDEX delivery_account ON delivery (tenant_id, account_id, channel, id);
-- Few rows at any time: what waits and what a person has to look at.
CREATE INDEX delivery_open ON delivery (tenant_id, state, id) WHERE state IN ('queued', 'failed');

-- The mail address of an account, which it has confirmed with a code; sealed.
CREATE TABLE mailbox (
    tenant_id  {{uuid}} NOT NULL,
    account_id {{uuid}} NOT NULL,
    mail       {{bytes}} NOT NULL,
    at         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, account_id)
){{strict}};
{{rls "mailbox"}}

-- The last code that was sent to prove a mail address, one an account. The code is a keyed hash.
CREATE TABLE mail_proof (
    tenant_id  {{uuid}} NOT NULL,
    account_id {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    mail       {{bytes}} NOT NULL,
    code_hash  {{bytes}} NOT NULL,
    tries      {{int}} NOT NULL DEFAULT 0,
    expires_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, account_id)
){{strict}};
{{rls "mail_proof"}}

-- How many codes an account asked for and a mail address got since opened_at. The subject is a blind index or an account.
CREATE TABLE mail_budget (
    tenant_id {{uuid}} NOT NULL,
    kind      {{text}} NOT NULL CHECK (kind IN ('account', 'mail')),
    subject   {{bytes}} NOT NULL,
    used      {{int}} NOT NULL CHECK (used > 0),
    opened_at {{bigint}} NOT NULL,
    last_at   {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, kind, subject)
){{strict}};
{{rls "mail_budget"}}
CREATE INDEX mail_budget_last ON mail_budget (tenant_id, last_at);

-- The key pair by which push services know the hospital (VAPID, RFC 8292), made when first asked for; the private half is
-- sealed.
CREATE TABLE push_key (
    tenant_id  {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    public     {{text}} NOT NULL,
    private    {{bytes}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id)
){{strict}};
{{rls "push_key"}}

-- A browser that takes push messages. Its address at the push service, its keys and its label are sealed; the id is a
-- blind index of the address, so the same browser is one row, of the account that signed in there last.
CREATE TABLE device (
    tenant_id  {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    account_id {{uuid}} NOT NULL,
    sealed     {{bytes}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "device"}}
CREATE INDEX device_account ON device (tenant_id, account_id, created_at);

-- Which devices have had a push delivery, so that a repeat for the others leaves them alone.
CREATE TABLE pushed (
    tenant_id   {{uuid}} NOT NULL,
    delivery_id {{uuid}} NOT NULL,
    device_id   {{uuid}} NOT NULL,
    at          {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, delivery_id, device_id),
    FOREIGN KEY (tenant_id, delivery_id) REFERENCES delivery (tenant_id, id)
){{strict}};
{{rls "pushed"}}
CREATE INDEX pushed_at ON pushed (tenant_id, at);

-- Visits that were called off before their reminder: none is sent, whichever of booking and cancelling is heard first.
-- Forgotten when the day is over.
CREATE TABLE called_off (
    tenant_id      {{uuid}} NOT NULL,
    appointment_id {{uuid}} NOT NULL,
    until          {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, appointment_id)
){{strict}};
{{rls "called_off"}}
CREATE INDEX called_off_until ON called_off (tenant_id, until);

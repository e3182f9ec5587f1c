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

-- One message on one channel. Facts (params) and the phone are sealed; texts are rendered when they are read or sent.
CREATE TABLE delivery (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    message_id  {{uuid}} NOT NULL,
    account_id  {{uuid}},
    channel     {{text}} NOT NULL CHECK (channel IN ('in_app', 'sms')),
    template    {{text}} NOT NULL,
    params      {{bytes}} NOT NULL,
    phone       {{bytes}},
    state       {{text}} NOT NULL CHECK (state IN ('queued', 'sent', 'failed', 'read')),
    reference   {{text}} NOT NULL DEFAULT '',
    why         {{text}} NOT NULL DEFAULT '',
    expires_at  {{bigint}},
    created_at  {{bigint}} NOT NULL,
    sent_at     {{bigint}},
    read_at     {{bigint}},
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, message_id, channel)
){{strict}};
{{rls "delivery"}}
CREATE INDEX delivery_account ON delivery (tenant_id, account_id, channel, id);

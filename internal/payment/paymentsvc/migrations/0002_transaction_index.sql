-- +goose Up

-- A channel's transaction pays once. Only paid payments are in the index: an open one costs it nothing.
{{if pg}}
ALTER TABLE payment DROP CONSTRAINT payment_tenant_id_channel_channel_transaction_key;
CREATE UNIQUE INDEX payment_transaction ON payment (tenant_id, channel, channel_transaction) WHERE channel_transaction IS NOT NULL;
{{end}}

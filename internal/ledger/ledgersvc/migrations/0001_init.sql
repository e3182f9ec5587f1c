-- +goose Up

-- One balanced entry under the caller's id. Both sides are kept so that a row alone shows its balance; verify compares them
-- with the postings. Rows are never changed.
CREATE TABLE ledger_transaction (
    tenant_id    {{uuid}} NOT NULL,
    id           {{uuid}} NOT NULL,
    kind         {{text}} NOT NULL,
    reference_id {{uuid}} NOT NULL,
    number       {{text}} NOT NULL,
    at           {{bigint}} NOT NULL,
    debit_fen    {{bigint}} NOT NULL CHECK (debit_fen > 0),
    credit_fen   {{bigint}} NOT NULL,
    lines        {{int}} NOT NULL CHECK (lines BETWEEN 2 AND 100),
    hash         {{bytes}} NOT NULL,
    posted_at    {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK (debit_fen = credit_fen)
){{strict}};
{{rls "ledger_transaction"}}

CREATE TABLE posting (
    tenant_id      {{uuid}} NOT NULL,
    transaction_id {{uuid}} NOT NULL,
    line           {{int}} NOT NULL CHECK (line > 0),
    account        {{text}} NOT NULL,
    amount_fen     {{bigint}} NOT NULL CHECK (amount_fen <> 0),
    posted_at      {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, transaction_id, line),
    FOREIGN KEY (tenant_id, transaction_id) REFERENCES ledger_transaction (tenant_id, id)
){{strict}};
{{rls "posting"}}
CREATE INDEX posting_account ON posting (tenant_id, account, amount_fen);

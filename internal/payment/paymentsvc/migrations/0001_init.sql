-- +goose Up

-- A payment under the caller's own id. refunded and pending can never exceed what was paid, and the state says nothing else
-- than the columns. effect: what the money did at the caller (none yet, applied, or given back).
CREATE TABLE payment (
    tenant_id           {{uuid}} NOT NULL,
    id                  {{uuid}} NOT NULL,
    account_id          {{uuid}} NOT NULL,
    purpose             {{text}} NOT NULL,
    reference_id        {{uuid}} NOT NULL,
    number              {{text}} NOT NULL,
    description         {{text}} NOT NULL,
    amount_fen          {{bigint}} NOT NULL CHECK (amount_fen > 0),
    refunded_fen        {{bigint}} NOT NULL DEFAULT 0 CHECK (refunded_fen >= 0),
    pending_fen         {{bigint}} NOT NULL DEFAULT 0 CHECK (pending_fen >= 0),
    state               {{text}} NOT NULL CHECK (state IN ('open', 'paid', 'closed', 'refunding', 'refunded')),
    effect              {{text}} NOT NULL DEFAULT 'none' CHECK (effect IN ('none', 'applied', 'refunded')),
    deadline            {{bigint}} NOT NULL,
    channel             {{text}} NOT NULL DEFAULT '',
    channel_transaction {{text}},
    pay_url             {{text}} NOT NULL DEFAULT '',
    pay_url_until       {{bigint}} NOT NULL DEFAULT 0,
    giving_up           {{int}} NOT NULL DEFAULT 0 CHECK (giving_up IN (0, 1)),
    asked_at            {{bigint}} NOT NULL DEFAULT 0,
    paid_at             {{bigint}},
    version             {{bigint}} NOT NULL,
    created_at          {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, channel, channel_transaction),
    CHECK (refunded_fen + pending_fen <= amount_fen),
    CHECK ((state IN ('open', 'closed')) = (paid_at IS NULL)),
    CHECK ((channel_transaction IS NULL) = (paid_at IS NULL)),
    CHECK (paid_at IS NOT NULL OR (refunded_fen + pending_fen = 0 AND effect = 'none')),
    CHECK ((state = 'refunding') = (pending_fen > 0)),
    CHECK ((state = 'refunded') = (refunded_fen = amount_fen))
){{strict}};
{{rls "payment"}}
CREATE INDEX payment_unsettled ON payment (paid_at) WHERE effect = 'none' AND paid_at IS NOT NULL;

-- Each step of a payment's life with the audit row that made it; from_state is empty at the beginning.
CREATE TABLE payment_history (
    tenant_id  {{uuid}} NOT NULL,
    payment_id {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    from_state {{text}} NOT NULL,
    to_state   {{text}} NOT NULL,
    act_id     {{uuid}} NOT NULL,
    at         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, payment_id, id),
    FOREIGN KEY (tenant_id, payment_id) REFERENCES payment (tenant_id, id)
){{strict}};
{{rls "payment_history"}}

-- Money on its way back, under the caller's own id. held: its amount is part of the payment's pending_fen; a failed refund is
-- held while the channel may still pay it out after a person has acted there. replaced_by: the refund that was asked for instead of
-- a failed one.
CREATE TABLE refund (
    tenant_id      {{uuid}} NOT NULL,
    id             {{uuid}} NOT NULL,
    payment_id     {{uuid}} NOT NULL,
    amount_fen     {{bigint}} NOT NULL CHECK (amount_fen > 0),
    reason         {{text}} NOT NULL,
    state          {{text}} NOT NULL CHECK (state IN ('requested', 'processing', 'done', 'failed')),
    held           {{int}} NOT NULL CHECK (held IN (0, 1)),
    attempts       {{int}} NOT NULL DEFAULT 0,
    channel_refund {{text}} NOT NULL DEFAULT '',
    replaced_by    {{uuid}},
    version        {{bigint}} NOT NULL,
    created_at     {{bigint}} NOT NULL,
    done_at        {{bigint}},
    PRIMARY KEY (tenant_id, id),
    CHECK ((state = 'done') = (done_at IS NOT NULL)),
    CHECK (replaced_by IS NULL OR (state = 'failed' AND held = 0)),
    CHECK (state = 'failed' OR held = CASE WHEN state = 'done' THEN 0 ELSE 1 END),
    FOREIGN KEY (tenant_id, payment_id) REFERENCES payment (tenant_id, id)
){{strict}};
{{rls "refund"}}
CREATE INDEX refund_payment ON refund (tenant_id, payment_id);
CREATE INDEX refund_at ON refund (tenant_id, created_at, id);
CREATE INDEX refund_state ON refund (tenant_id, state, created_at, id);

CREATE TABLE refund_history (
    tenant_id  {{uuid}} NOT NULL,
    refund_id  {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    from_state {{text}} NOT NULL,
    to_state   {{text}} NOT NULL,
    act_id     {{uuid}} NOT NULL,
    at         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, refund_id, id),
    FOREIGN KEY (tenant_id, refund_id) REFERENCES refund (tenant_id, id)
){{strict}};
{{rls "refund_history"}}

-- What the channel told us: one row a notification, however often it is delivered. It was authentic and ours; whether it
-- fits a payment is decided by its job.
CREATE TABLE notification (
    tenant_id   {{uuid}} NOT NULL,
    id          {{text}} NOT NULL,
    channel     {{text}} NOT NULL,
    event       {{text}} NOT NULL,
    content     {{json}} NOT NULL,
    hash        {{bytes}} NOT NULL,
    payment_id  {{uuid}} NOT NULL,
    refund_id   {{uuid}},
    outcome     {{text}} NOT NULL CHECK (outcome IN ('new', 'applied', 'mismatch')),
    received_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, channel, id)
){{strict}};
{{rls "notification"}}
CREATE INDEX notification_payment ON notification (tenant_id, payment_id);

-- Each signed delivery of a notification that was taken: the very same message is refused the second time.
CREATE TABLE callback (
    tenant_id       {{uuid}} NOT NULL,
    channel         {{text}} NOT NULL,
    replay_key      {{text}} NOT NULL,
    notification_id {{text}} NOT NULL,
    received_at     {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, channel, replay_key),
    FOREIGN KEY (tenant_id, channel, notification_id) REFERENCES notification (tenant_id, channel, id)
){{strict}};
{{rls "callback"}}

-- What the ledger must learn, under the ledger's transaction id; posted_at is when it did.
CREATE TABLE fact (
    tenant_id  {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    payment_id {{uuid}} NOT NULL,
    refund_id  {{uuid}},
    kind       {{text}} NOT NULL CHECK (kind IN ('payment.paid', 'payment.refund_requested', 'payment.refund_done', 'payment.refund_failed')),
    channel    {{text}} NOT NULL CHECK (channel IN ('wechat', 'cash')),
    amount_fen {{bigint}} NOT NULL CHECK (amount_fen > 0),
    number     {{text}} NOT NULL,
    at         {{bigint}} NOT NULL,
    posted_at  {{bigint}},
    PRIMARY KEY (tenant_id, id),
    CHECK ((kind = 'payment.paid') = (refund_id IS NULL)),
    FOREIGN KEY (tenant_id, payment_id) REFERENCES payment (tenant_id, id),
    FOREIGN KEY (tenant_id, refund_id) REFERENCES refund (tenant_id, id)
){{strict}};
{{rls "fact"}}
CREATE INDEX fact_payment ON fact (tenant_id, payment_id);

-- Cash that came (refund_id is null) or went at a window. The id is the client's key. received_fen is what the payer laid
-- down; what is above amount_fen went back as change at once. account_id is the staff's, whose drawer it is.
CREATE TABLE cash_movement (
    tenant_id    {{uuid}} NOT NULL,
    id           {{uuid}} NOT NULL,
    payment_id   {{uuid}} NOT NULL,
    refund_id    {{uuid}},
    account_id   {{uuid}} NOT NULL,
    amount_fen   {{bigint}} NOT NULL CHECK (amount_fen > 0),
    received_fen {{bigint}} NOT NULL,
    at           {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK (CASE WHEN refund_id IS NULL THEN received_fen >= amount_fen ELSE received_fen = 0 END),
    FOREIGN KEY (tenant_id, payment_id) REFERENCES payment (tenant_id, id),
    FOREIGN KEY (tenant_id, refund_id) REFERENCES refund (tenant_id, id)
){{strict}};
{{rls "cash_movement"}}
CREATE UNIQUE INDEX cash_taken ON cash_movement (tenant_id, payment_id) WHERE refund_id IS NULL;
CREATE UNIQUE INDEX cash_paid_out ON cash_movement (tenant_id, refund_id) WHERE refund_id IS NOT NULL;

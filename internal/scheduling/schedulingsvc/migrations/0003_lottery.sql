-- +goose Up

-- Above 0 while a lottery decides who gets the numbers: its window in seconds from the release. Ordinary holds wait.
ALTER TABLE schedule ADD COLUMN lottery_s {{int}} NOT NULL DEFAULT 0;

-- The release of a schedule by lottery; it has the schedule's id. The seed is sealed under the tenant's key until the draw
-- shows it. witness_key is the one that was announced, NULL for none. From 'sealed' on root, entries, seats and sealed_at
-- are fixed; a share of this row's lock goes with every entry, so that sealing waits for those in flight.
CREATE TABLE lottery (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    state       {{text}} NOT NULL CHECK (state IN ('open', 'sealed', 'drawn', 'done')),
    per         {{text}} NOT NULL CHECK (per IN ('person', 'account')),
    opens_at    {{bigint}} NOT NULL,
    closes_at   {{bigint}} NOT NULL,
    commitment  {{bytes}} NOT NULL,
    seed_sealed {{bytes}} NOT NULL,
    seed        {{bytes}},
    witness_key {{bytes}},
    root        {{bytes}},
    entries     {{int}} NOT NULL CHECK (entries >= 0),
    seats       {{json}},
    sealed_at   {{bigint}},
    signature   {{bytes}},
    signed_at   {{bigint}},
    winners     {{int}} NOT NULL CHECK (winners >= 0),
    created_at  {{bigint}} NOT NULL,
    updated_at  {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK (opens_at < closes_at),
    CHECK ((state = 'open') = (root IS NULL)),
    CHECK ((state = 'open') = (sealed_at IS NULL)),
    CHECK ((state IN ('open', 'sealed')) = (seed IS NULL)),
    CHECK ((signature IS NULL) = (signed_at IS NULL)),
    FOREIGN KEY (tenant_id, id) REFERENCES schedule (tenant_id, id)
){{strict}};
{{rls "lottery"}}

-- One person's entry. The id is the client's UUIDv7: key, idempotency key, and the appointment's id when it wins. person
-- and leaf are what the public list shows; grp counts once beside the person (NULL: nothing else counts).
CREATE TABLE lottery_entry (
    tenant_id  {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    lottery_id {{uuid}} NOT NULL,
    account_id {{uuid}} NOT NULL,
    patient_id {{uuid}} NOT NULL,
    person     {{bytes}} NOT NULL,
    grp        {{bytes}},
    nonce      {{bytes}} NOT NULL,
    wishes     {{json}} NOT NULL,
    leaf       {{bytes}} NOT NULL,
    outcome    {{text}} NOT NULL CHECK (outcome IN ('', 'won', 'refused')),
    slot_id    {{uuid}},
    reason     {{text}} NOT NULL,
    created_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, lottery_id, patient_id),
    CHECK ((outcome = 'won') = (slot_id IS NOT NULL)),
    CHECK ((outcome = 'refused') = (reason <> '')),
    FOREIGN KEY (tenant_id, lottery_id) REFERENCES lottery (tenant_id, id)
){{strict}};
{{rls "lottery_entry"}}
CREATE UNIQUE INDEX lottery_entry_group ON lottery_entry (tenant_id, lottery_id, grp) WHERE grp IS NOT NULL;
CREATE INDEX lottery_entry_account ON lottery_entry (tenant_id, account_id, lottery_id);

-- +goose Up

-- The hospital's rules of registration, one row a tenant; without a row the default preset holds.
CREATE TABLE booking_rules (
    tenant_id  {{uuid}} NOT NULL,
    rules      {{json}} NOT NULL,
    version    {{bigint}} NOT NULL,
    updated_at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id)
){{strict}};
{{rls "booking_rules"}}

-- Writers of the rota of a tenant take turns on this row.
CREATE TABLE rota_turn (
    tenant_id {{uuid}} NOT NULL,
    turns     {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id)
){{strict}};
{{rls "rota_turn"}}

CREATE TABLE rota_rule (
    tenant_id       {{uuid}} NOT NULL,
    id              {{uuid}} NOT NULL,
    campus_id       {{uuid}} NOT NULL,
    department_id   {{uuid}} NOT NULL,
    practitioner_id {{uuid}} NOT NULL,
    session         {{text}} NOT NULL,
    class           {{text}} NOT NULL,
    seats           {{int}} NOT NULL CHECK (seats > 0),
    slot_minutes    {{int}} NOT NULL CHECK (slot_minutes > 0),
    fee_fen         {{bigint}} NOT NULL CHECK (fee_fen >= 0),
    start_minute    {{int}} NOT NULL,
    end_minute      {{int}} NOT NULL,
    location        {{text}} NOT NULL,
    remark          {{text}} NOT NULL,
    recurrence      {{text}} NOT NULL,
    from_day        {{int}} NOT NULL,
    to_day          {{int}} NOT NULL,
    holidays        {{text}} NOT NULL,
    makeup          {{text}} NOT NULL,
    version         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, practitioner_id, session, from_day, recurrence),
    CHECK (start_minute < end_minute),
    CHECK (to_day = 0 OR to_day >= from_day)
){{strict}};
{{rls "rota_rule"}}

-- Leave and changed seats use the practitioner, the session (empty = all day) and the seats only.
CREATE TABLE rota_exception (
    tenant_id       {{uuid}} NOT NULL,
    id              {{uuid}} NOT NULL,
    kind            {{text}} NOT NULL CHECK (kind IN ('leave', 'extra', 'makeup', 'seats')),
    campus_id       {{uuid}},
    department_id   {{uuid}},
    practitioner_id {{uuid}} NOT NULL,
    session         {{text}} NOT NULL,
    class           {{text}} NOT NULL,
    seats           {{int}} NOT NULL,
    slot_minutes    {{int}} NOT NULL,
    fee_fen         {{bigint}} NOT NULL CHECK (fee_fen >= 0),
    start_minute    {{int}} NOT NULL,
    end_minute      {{int}} NOT NULL,
    location        {{text}} NOT NULL,
    remark          {{text}} NOT NULL,
    from_day        {{int}} NOT NULL,
    to_day          {{int}} NOT NULL,
    version         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, practitioner_id, kind, session, from_day, to_day),
    CHECK (to_day >= from_day)
){{strict}};
{{rls "rota_exception"}}

-- One session of a doctor. Who takes or gives back one of its seats, or moves one of its appointments, takes the
-- session's lock first (store_lock.go); the row is not written then, so that a booking stays cheap. version counts
-- every change of the plan.
CREATE TABLE schedule (
    tenant_id       {{uuid}} NOT NULL,
    id              {{uuid}} NOT NULL,
    day             {{int}} NOT NULL,
    session         {{text}} NOT NULL CHECK (session IN ('morning', 'afternoon', 'evening')),
    campus_id       {{uuid}} NOT NULL,
    department_id   {{uuid}} NOT NULL,
    practitioner_id {{uuid}} NOT NULL,
    class           {{text}} NOT NULL,
    fee_fen         {{bigint}} NOT NULL CHECK (fee_fen >= 0),
    starts_at       {{bigint}} NOT NULL,
    ends_at         {{bigint}} NOT NULL,
    location        {{text}} NOT NULL,
    released_at     {{bigint}} NOT NULL,
    stopped         {{bool}} NOT NULL,
    capacity        {{int}} NOT NULL,
    rule_id         {{uuid}},
    exception_id    {{uuid}},
    version         {{bigint}} NOT NULL,
    created_at      {{bigint}} NOT NULL,
    updated_at      {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, day, practitioner_id, session),
    CHECK (starts_at < ends_at),
    FOREIGN KEY (tenant_id, rule_id) REFERENCES rota_rule (tenant_id, id),
    FOREIGN KEY (tenant_id, exception_id) REFERENCES rota_exception (tenant_id, id)
){{strict}};
{{rls "schedule"}}
CREATE INDEX schedule_department ON schedule (tenant_id, department_id, day);
CREATE INDEX schedule_practitioner ON schedule (tenant_id, practitioner_id, day);

-- A session that is not held (停诊), until it is held after all. affected and refund_fen: the active visits at that moment
-- and what they had paid; cancelled: what the job has ended of them. by_rota: the rota no longer has the session, so only
-- the rota brings it back. Why stands in the audit.
CREATE TABLE session_stop (
    tenant_id   {{uuid}} NOT NULL,
    schedule_id {{uuid}} NOT NULL,
    stopped_at  {{bigint}} NOT NULL,
    by_rota     {{bool}} NOT NULL,
    affected    {{int}} NOT NULL,
    refund_fen  {{bigint}} NOT NULL CHECK (refund_fen >= 0),
    cancelled   {{int}} NOT NULL,
    PRIMARY KEY (tenant_id, schedule_id),
    CHECK (cancelled >= 0 AND cancelled <= affected),
    FOREIGN KEY (tenant_id, schedule_id) REFERENCES schedule (tenant_id, id)
){{strict}};
{{rls "session_stop"}}

-- A period of a schedule. taken has a bit for each seat; held counts holds and seats that wait for their return, booked
-- those with a booking. The seat's bit is the constraint that no seat is sold twice: who takes a seat writes -1 for a bit
-- that is set already, which the check refuses. holders has two bytes for each seat, the last of the id of the
-- appointment that took it last: a sold-out session knows by them whom it must look up. Capacity 0: cut away by a later
-- plan. version counts every change of the seats. What a sale changes stands together, so that the log is short.
CREATE TABLE slot (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    schedule_id {{uuid}} NOT NULL,
    starts_at   {{bigint}} NOT NULL,
    ends_at     {{bigint}} NOT NULL,
    full_mask   {{bigint}} NOT NULL,
    first       {{int}} NOT NULL CHECK (first > 0),
    capacity    {{int}} NOT NULL CHECK (capacity >= 0 AND capacity <= 62),
    taken       {{bigint}} NOT NULL,
    held        {{int}} NOT NULL CHECK (held >= 0),
    booked      {{int}} NOT NULL CHECK (booked >= 0),
    version     {{int}} NOT NULL,
    holders     {{bytes}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, schedule_id, starts_at),
    CHECK (starts_at < ends_at),
    CHECK (held + booked <= capacity),
    CHECK (taken >= 0 AND taken <= full_mask),
    CHECK (length(holders) = 2 * capacity),
    FOREIGN KEY (tenant_id, schedule_id) REFERENCES schedule (tenant_id, id)
){{strict}};
{{rls "slot"}}

-- The id is the client's UUIDv7: primary key and idempotency key, so bookings of one morning lie together; the other keys
-- begin with the day for the same reason (an index by person first would touch another page at each booking). There is
-- no index by slot or session: a sale would write it, and only people and checks ask that way, within a day. What
-- belongs to the slot or the session is read from there. number is the seat's (slot.first + seat); the seat's bit in
-- the slot says that nobody else has it. A person and an account belong to one tenant, so their indexes leave it out
-- (ADR 0016). scope is the hash of what a person may book once a day (department, by the
-- rules also doctor or session); per_account: the account too. any_slot: the request named the session. state_at: until
-- when a pending one is held, of all others when they were moved last. settlement is what became of the payment, whose
-- id is the appointment's. No foreign keys: the writer holds the lock of the session, and verify looks for orphans.
CREATE TABLE appointment (
    tenant_id       {{uuid}} NOT NULL,
    id              {{uuid}} NOT NULL,
    account_id      {{uuid}} NOT NULL,
    patient_id      {{uuid}} NOT NULL,
    slot_id         {{uuid}} NOT NULL,
    fee_fen         {{bigint}} NOT NULL CHECK (fee_fen >= 0),
    created_at      {{bigint}} NOT NULL,
    state_at        {{bigint}} NOT NULL,
    cancel_before   {{bigint}} NOT NULL,
    scope           {{int}} NOT NULL,
    day             {{int}} NOT NULL,
    number          {{int}} NOT NULL CHECK (number > 0),
    version         {{int}} NOT NULL,
    any_slot        {{bool}} NOT NULL,
    per_account     {{bool}} NOT NULL,
    state           {{text}} NOT NULL CHECK (state IN ('pending', 'booked', 'arrived', 'fulfilled', 'cancelled', 'noshow')),
    cancel_reason   {{text}} NOT NULL CHECK (cancel_reason IN ('', 'patient', 'staff', 'expired', 'stopped')),
    settlement      {{text}} NOT NULL CHECK (settlement IN ('', 'applied', 'refund')),
    PRIMARY KEY (tenant_id, id),
    CHECK ((state = 'cancelled') = (cancel_reason <> '')),
    CHECK (state <> 'pending' OR fee_fen > 0),
    CHECK (state IN ('pending', 'cancelled') OR fee_fen = 0 OR settlement = 'applied')
){{strict}};
{{rls "appointment"}}
CREATE UNIQUE INDEX appointment_person ON appointment (day, patient_id, scope) WHERE state <> 'cancelled';
CREATE UNIQUE INDEX appointment_phone ON appointment (day, account_id, scope) WHERE per_account AND state <> 'cancelled';

-- The visits of an account that are past or cancelled, the latest day first; its owner is the person when it was booked
-- without an account. Visits to come are found by day and person.
CREATE TABLE filed_visit (
    tenant_id      {{uuid}} NOT NULL,
    owner_id       {{uuid}} NOT NULL,
    day            {{int}} NOT NULL,
    appointment_id {{uuid}} NOT NULL,
    PRIMARY KEY (tenant_id, owner_id, day, appointment_id)
){{strict}};
{{rls "filed_visit"}}

-- What counts against a person by the rules: visits missed, and visits given back by the patient.
CREATE TABLE incident (
    tenant_id      {{uuid}} NOT NULL,
    patient_id     {{uuid}} NOT NULL,
    appointment_id {{uuid}} NOT NULL,
    kind           {{text}} NOT NULL CHECK (kind IN ('missed', 'returned')),
    day            {{int}} NOT NULL,
    on_day         {{int}} NOT NULL,
    PRIMARY KEY (tenant_id, patient_id, appointment_id)
){{strict}};
{{rls "incident"}}

-- A cancelled seat that is not for sale before return_at; it still counts as held and keeps its bit.
CREATE TABLE seat_return (
    tenant_id      {{uuid}} NOT NULL,
    appointment_id {{uuid}} NOT NULL,
    slot_id        {{uuid}} NOT NULL,
    seat           {{int}} NOT NULL CHECK (seat >= 0 AND seat < 62),
    return_at      {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, appointment_id),
    UNIQUE (tenant_id, slot_id, seat),
    FOREIGN KEY (tenant_id, appointment_id) REFERENCES appointment (tenant_id, id),
    FOREIGN KEY (tenant_id, slot_id) REFERENCES slot (tenant_id, id)
){{strict}};
{{rls "seat_return"}}

-- Every transition after the hold. seq is the appointment's version after it; act_id is the audit row. The hold itself
-- is the appointment: created_at, and an audit row with the appointment's id.
CREATE TABLE appointment_history (
    tenant_id      {{uuid}} NOT NULL,
    appointment_id {{uuid}} NOT NULL,
    seq            {{bigint}} NOT NULL,
    from_state     {{text}} NOT NULL,
    to_state       {{text}} NOT NULL,
    at             {{bigint}} NOT NULL,
    by_what        {{text}} NOT NULL,
    act_id         {{uuid}} NOT NULL,
    PRIMARY KEY (tenant_id, appointment_id, seq),
    FOREIGN KEY (tenant_id, appointment_id) REFERENCES appointment (tenant_id, id)
){{strict}};
{{rls "appointment_history"}}

-- +goose Up

-- What persons consent to, a row a version. Texts never change and never go: consents name the version that was read.
CREATE TABLE purpose_text (
    tenant_id    {{uuid}} NOT NULL,
    purpose      {{text}} NOT NULL CHECK (purpose IN ('record_sharing', 'cross_institution', 'personalisation', 'research', 'marketing')),
    version      {{int}} NOT NULL CHECK (version > 0),
    title_zh     {{text}} NOT NULL CHECK (length(title_zh) > 0),
    body_zh      {{text}} NOT NULL CHECK (length(body_zh) > 0),
    necessity_zh {{text}} NOT NULL,
    effect_zh    {{text}} NOT NULL,
    title_en     {{text}} NOT NULL CHECK (length(title_en) > 0),
    body_en      {{text}} NOT NULL CHECK (length(body_en) > 0),
    necessity_en {{text}} NOT NULL,
    effect_en    {{text}} NOT NULL,
    published_at {{bigint}} NOT NULL,
    act_id       {{uuid}} NOT NULL,
    PRIMARY KEY (tenant_id, purpose, version),
    CHECK (purpose = 'marketing' OR (length(necessity_zh) > 0 AND length(effect_zh) > 0 AND length(necessity_en) > 0 AND length(effect_en) > 0))
){{strict}};
{{rls "purpose_text"}}

-- What a person decided last about a purpose: account_id decided, for oneself or as the guardian of a child under 14. steps counts
-- the rows of consent_step.
CREATE TABLE consent (
    tenant_id  {{uuid}} NOT NULL,
    patient_id {{uuid}} NOT NULL,
    purpose    {{text}} NOT NULL,
    state      {{text}} NOT NULL CHECK (state IN ('given', 'withdrawn')),
    version    {{int}} NOT NULL,
    account_id {{uuid}} NOT NULL,
    capacity   {{text}} NOT NULL CHECK (capacity IN ('self', 'guardian')),
    steps      {{int}} NOT NULL CHECK (steps > 0),
    at         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, patient_id, purpose),
    FOREIGN KEY (tenant_id, purpose, version) REFERENCES purpose_text (tenant_id, purpose, version)
){{strict}};
{{rls "consent"}}

-- Every decision, with the audit row's id.
CREATE TABLE consent_step (
    tenant_id  {{uuid}} NOT NULL,
    patient_id {{uuid}} NOT NULL,
    purpose    {{text}} NOT NULL,
    step       {{int}} NOT NULL,
    state      {{text}} NOT NULL CHECK (state IN ('given', 'withdrawn')),
    version    {{int}} NOT NULL,
    account_id {{uuid}} NOT NULL,
    capacity   {{text}} NOT NULL CHECK (capacity IN ('self', 'guardian')),
    act_id     {{uuid}} NOT NULL,
    at         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, patient_id, purpose, step)
){{strict}};
{{rls "consent_step"}}

-- What a person asked for. id is the client's key. reason, wanted, was (before a correction) and answer are sealed under the person's
-- key and gone with it; refusals of an erasure have their answer so too. due_day is the last working day for the decision.
-- event_id is the audit event that an objection is about, zero for the others.
CREATE TABLE request (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    patient_id  {{uuid}} NOT NULL,
    account_id  {{uuid}} NOT NULL,
    capacity    {{text}} NOT NULL CHECK (capacity IN ('self', 'guardian')),
    kind        {{text}} NOT NULL CHECK (kind IN ('copy', 'transfer', 'correct', 'erase', 'object')),
    event_id    {{uuid}} NOT NULL,
    state       {{text}} NOT NULL CHECK (state IN ('open', 'working', 'ready', 'done', 'refused', 'cancelled', 'expired')),
    hash        {{bytes}} NOT NULL,
    reason      {{bytes}},
    wanted      {{bytes}},
    was         {{bytes}},
    answer      {{bytes}},
    created_at  {{bigint}} NOT NULL,
    due_day     {{int}} NOT NULL,
    reminded_at {{bigint}},
    decided_by  {{uuid}},
    decided_at  {{bigint}},
    ready_at    {{bigint}},
    ended_at    {{bigint}},
    version     {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'refused', 'cancelled', 'expired'))),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    CHECK (kind IN ('copy', 'transfer') OR state NOT IN ('working', 'done', 'refused') OR decided_at IS NOT NULL)
){{strict}};
{{rls "request"}}
CREATE UNIQUE INDEX request_open ON request (tenant_id, patient_id, kind, event_id) WHERE state IN ('open', 'working', 'ready');
CREATE INDEX request_due ON request (tenant_id, due_day, id) WHERE state IN ('open', 'working');
CREATE INDEX request_patient ON request (tenant_id, patient_id, id);

-- Every step of a request, with the audit row's id.
CREATE TABLE request_step (
    tenant_id  {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    request_id {{uuid}} NOT NULL,
    from_state {{text}} NOT NULL,
    to_state   {{text}} NOT NULL,
    act_id     {{uuid}} NOT NULL,
    at         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, request_id) REFERENCES request (tenant_id, id)
){{strict}};
{{rls "request_step"}}
CREATE INDEX request_step_of ON request_step (tenant_id, request_id, id);

-- A file that waits to be taken, in parts, each sealed under the person's key.
CREATE TABLE copy_part (
    tenant_id  {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    request_id {{uuid}} NOT NULL,
    patient_id {{uuid}} NOT NULL,
    part       {{int}} NOT NULL CHECK (part >= 0),
    sealed     {{bytes}} NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, request_id, part),
    FOREIGN KEY (tenant_id, request_id) REFERENCES request (tenant_id, id)
){{strict}};
{{rls "copy_part"}}

-- What stayed after an erasure, and why: told to the person before, kept for the hospital.
CREATE TABLE kept (
    tenant_id  {{uuid}} NOT NULL,
    request_id {{uuid}} NOT NULL,
    place      {{text}} NOT NULL,
    rows_kept  {{bigint}} NOT NULL CHECK (rows_kept > 0),
    until_at   {{bigint}} NOT NULL,
    law_zh     {{text}} NOT NULL,
    law_en     {{text}} NOT NULL,
    identity   {{bool}} NOT NULL,
    PRIMARY KEY (tenant_id, request_id, place),
    FOREIGN KEY (tenant_id, request_id) REFERENCES request (tenant_id, id)
){{strict}};
{{rls "kept"}}

-- Who an erased person was, as long as the law wants records of visits kept: sealed under a key of its own (id is its person in the
-- key store), which a job destroys at the end.
CREATE TABLE retained (
    tenant_id    {{uuid}} NOT NULL,
    id           {{uuid}} NOT NULL,
    request_id   {{uuid}} NOT NULL,
    patient_id   {{uuid}} NOT NULL,
    sealed       {{bytes}},
    until_at     {{bigint}} NOT NULL,
    created_at   {{bigint}} NOT NULL,
    destroyed_at {{bigint}},
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, patient_id),
    FOREIGN KEY (tenant_id, request_id) REFERENCES request (tenant_id, id),
    CHECK ((sealed IS NULL) = (destroyed_at IS NOT NULL))
){{strict}};
{{rls "retained"}}

-- The register of impact assessments: a row a version, none is ever changed or deleted (R56).
CREATE TABLE assessment (
    tenant_id   {{uuid}} NOT NULL,
    id          {{uuid}} NOT NULL,
    version     {{int}} NOT NULL CHECK (version > 0),
    title       {{text}} NOT NULL CHECK (length(title) > 0),
    processing  {{text}} NOT NULL CHECK (length(processing) > 0),
    necessity   {{text}} NOT NULL CHECK (length(necessity) > 0),
    risks       {{text}} NOT NULL CHECK (length(risks) > 0),
    measures    {{text}} NOT NULL CHECK (length(measures) > 0),
    risk        {{text}} NOT NULL CHECK (risk IN ('low', 'medium', 'high')),
    conclusion  {{text}} NOT NULL CHECK (conclusion IN ('pending', 'allowed', 'forbidden')),
    review_day  {{int}} NOT NULL,
    account_id  {{uuid}} NOT NULL,
    act_id      {{uuid}} NOT NULL,
    at          {{bigint}} NOT NULL,
    latest      {{bool}} NOT NULL,
    PRIMARY KEY (tenant_id, id, version)
){{strict}};
{{rls "assessment"}}
CREATE UNIQUE INDEX assessment_latest ON assessment (tenant_id, id) WHERE latest;

-- The register of breaches: a row a version. found_at starts the clocks; authority_by and persons_by are when they run out.
CREATE TABLE breach (
    tenant_id         {{uuid}} NOT NULL,
    id                {{uuid}} NOT NULL,
    version           {{int}} NOT NULL CHECK (version > 0),
    title             {{text}} NOT NULL CHECK (length(title) > 0),
    what              {{text}} NOT NULL CHECK (length(what) > 0),
    measures          {{text}} NOT NULL,
    severity          {{text}} NOT NULL CHECK (severity IN ('general', 'major', 'critical')),
    persons           {{bigint}} NOT NULL CHECK (persons >= 0),
    found_at          {{bigint}} NOT NULL,
    authority_by      {{bigint}} NOT NULL,
    persons_by        {{bigint}} NOT NULL,
    authority_told_at {{bigint}},
    persons_told_at   {{bigint}},
    not_told_why      {{text}} NOT NULL,
    closed_at         {{bigint}},
    account_id        {{uuid}} NOT NULL,
    act_id            {{uuid}} NOT NULL,
    at                {{bigint}} NOT NULL,
    latest            {{bool}} NOT NULL,
    PRIMARY KEY (tenant_id, id, version),
    CHECK (authority_by >= found_at AND persons_by >= found_at),
    CHECK (authority_told_at IS NULL OR authority_told_at >= found_at),
    CHECK (persons_told_at IS NULL OR persons_told_at >= found_at),
    CHECK (closed_at IS NULL OR (authority_told_at IS NOT NULL AND (persons_told_at IS NOT NULL OR length(not_told_why) > 0)))
){{strict}};
{{rls "breach"}}
CREATE UNIQUE INDEX breach_latest ON breach (tenant_id, id) WHERE latest;

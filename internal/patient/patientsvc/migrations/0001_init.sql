-- +goose Up

-- A person. Name, number and phone are sealed under the person's key; number_index finds the same document again, under an
-- odd generation of the index key, number_index_even under an even one; both while the key rotates (blind_generation). A shredded row
-- keeps unreadable bytes, a random index and nothing else of the person. verify_* and its day bound the real-name checks.
CREATE TABLE patient (
    tenant_id          {{uuid}} NOT NULL,
    id                 {{uuid}} NOT NULL,
    document_type      {{text}} NOT NULL CHECK (document_type IN
        ('resident_id', 'hmt_residence', 'hmt_permit', 'foreign_pr', 'passport', 'birth_cert', 'internal')),
    number_index       {{bytes}} CHECK (length(number_index) = 32),
    number_index_even  {{bytes}} CHECK (length(number_index_even) = 32),
    name               {{bytes}} NOT NULL,
    number             {{bytes}} NOT NULL,
    phone              {{bytes}},
    birth              {{int}},
    sex                {{text}} NOT NULL CHECK (sex IN ('male', 'female', 'unknown')),
    verified           {{text}} NOT NULL CHECK (verified IN ('none', 'verified', 'mismatch')),
    verified_at        {{bigint}},
    verified_reference {{text}} NOT NULL,
    verify_day         {{int}} NOT NULL DEFAULT 0,
    verify_used        {{int}} NOT NULL DEFAULT 0 CHECK (verify_used BETWEEN 0 AND 5),
    version            {{bigint}} NOT NULL,
    created_at         {{bigint}} NOT NULL,
    shredded_at        {{bigint}},
    PRIMARY KEY (tenant_id, id),
    CHECK (number_index IS NOT NULL OR number_index_even IS NOT NULL),
    CHECK ((shredded_at IS NULL) = (birth IS NOT NULL)),
    CHECK (verified = 'none' OR verified_at IS NOT NULL)
){{strict}};
{{rls "patient"}}
CREATE UNIQUE INDEX patient_number ON patient (tenant_id, document_type, number_index) WHERE number_index IS NOT NULL;
CREATE UNIQUE INDEX patient_number_next ON patient (tenant_id, document_type, number_index_even) WHERE number_index_even IS NOT NULL;

-- What the desk finds a person by beside the document: the phone, or name and birth together, as blind indexes. Several
-- persons may share one. It has two columns, by odd and even generation of the index key. A shredded person has none.
CREATE TABLE search_key (
    tenant_id  {{uuid}} NOT NULL,
    patient_id {{uuid}} NOT NULL,
    kind       {{text}} NOT NULL CHECK (kind IN ('phone', 'name')),
    value      {{bytes}} CHECK (length(value) = 32),
    value_even {{bytes}} CHECK (length(value_even) = 32),
    PRIMARY KEY (tenant_id, patient_id, kind),
    CHECK (value IS NOT NULL OR value_even IS NOT NULL),
    FOREIGN KEY (tenant_id, patient_id) REFERENCES patient (tenant_id, id)
){{strict}};
{{rls "search_key"}}
CREATE INDEX search_key_value ON search_key (tenant_id, value) WHERE value IS NOT NULL;
CREATE INDEX search_key_value_even ON search_key (tenant_id, value_even) WHERE value_even IS NOT NULL;

-- What an account has: its row is the lock under which its links and claims change. entries counts the persons entered
-- on entries_day.
CREATE TABLE holder (
    tenant_id   {{uuid}} NOT NULL,
    account_id  {{uuid}} NOT NULL,
    active      {{int}} NOT NULL CHECK (active BETWEEN 0 AND 10),
    entries     {{int}} NOT NULL CHECK (entries BETWEEN 0 AND 20),
    entries_day {{int}} NOT NULL,
    PRIMARY KEY (tenant_id, account_id)
){{strict}};
{{rls "holder"}}

-- Who acts for whom. guardian: the person was under 14 at related_at, when the relationship began (R4, R55).
CREATE TABLE link (
    tenant_id    {{uuid}} NOT NULL,
    id           {{uuid}} NOT NULL,
    account_id   {{uuid}} NOT NULL,
    patient_id   {{uuid}} NOT NULL,
    relationship {{text}} NOT NULL CHECK (relationship IN ('self', 'child', 'parent', 'spouse', 'other')),
    guardian     {{bool}} NOT NULL,
    consent_at   {{bigint}},
    state        {{text}} NOT NULL CHECK (state IN ('active', 'ended')),
    created_at   {{bigint}} NOT NULL,
    related_at   {{bigint}} NOT NULL,
    ended_at     {{bigint}},
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES holder (tenant_id, account_id),
    FOREIGN KEY (tenant_id, patient_id) REFERENCES patient (tenant_id, id),
    CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
    CHECK (NOT guardian OR (relationship = 'child' AND consent_at IS NOT NULL))
){{strict}};
{{rls "link"}}
CREATE UNIQUE INDEX link_once ON link (tenant_id, account_id, patient_id) WHERE state = 'active';
CREATE UNIQUE INDEX link_self ON link (tenant_id, account_id) WHERE state = 'active' AND relationship = 'self';
CREATE INDEX link_patient ON link (tenant_id, patient_id);

-- A second account that entered the same person. matches: the name that it entered is the person's; without it no code
-- is sent and no proof succeeds. challenge_id is identity's.
CREATE TABLE claim (
    tenant_id    {{uuid}} NOT NULL,
    id           {{uuid}} NOT NULL,
    account_id   {{uuid}} NOT NULL,
    patient_id   {{uuid}} NOT NULL,
    relationship {{text}} NOT NULL CHECK (relationship IN ('self', 'child', 'parent', 'spouse', 'other')),
    consent      {{bool}} NOT NULL,
    proof        {{text}} NOT NULL CHECK (proof IN ('phone_code', 'desk')),
    matches      {{bool}} NOT NULL,
    sent_at      {{bigint}},
    challenge_id {{uuid}},
    tries        {{int}} NOT NULL CHECK (tries BETWEEN 0 AND 5),
    state        {{text}} NOT NULL CHECK (state IN ('open', 'proved', 'failed', 'ended')),
    created_at   {{bigint}} NOT NULL,
    expires_at   {{bigint}} NOT NULL,
    closed_at    {{bigint}},
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES holder (tenant_id, account_id),
    FOREIGN KEY (tenant_id, patient_id) REFERENCES patient (tenant_id, id),
    CHECK ((state = 'open') = (closed_at IS NULL)),
    CHECK (challenge_id IS NULL OR (matches AND sent_at IS NOT NULL)),
    CHECK (state <> 'proved' OR matches)
){{strict}};
{{rls "claim"}}
CREATE UNIQUE INDEX claim_open ON claim (tenant_id, account_id, patient_id) WHERE state = 'open';
CREATE INDEX claim_waiting ON claim (tenant_id, created_at, id) WHERE state = 'open';
CREATE INDEX claim_sent ON claim (tenant_id, patient_id, sent_at);

-- Every step of a patient, link or claim, with the audit row's id.
CREATE TABLE history (
    tenant_id  {{uuid}} NOT NULL,
    id         {{uuid}} NOT NULL,
    noun       {{text}} NOT NULL CHECK (noun IN ('Patient', 'Link', 'Claim')),
    subject_id {{uuid}} NOT NULL,
    from_state {{text}} NOT NULL,
    to_state   {{text}} NOT NULL,
    act_id     {{uuid}} NOT NULL,
    at         {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "history"}}
CREATE INDEX history_subject ON history (tenant_id, subject_id, id);

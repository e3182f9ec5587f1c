package proof

import (
	"context"
	"strings"
)

// Route is one operation with its cases. Words in braces are filled in from the scene:
// ids of the tenant, dates, codes. The generated test fails for an operation of the
// OpenAPI document that has no row here, or a row that lacks a case.
type Route struct {
	Op    string // operation id
	Who   string // actor that may
	Query string // "?department_id={department}"
	ID    string // what stands for {id} in the path
	Body  string
	Key   bool   // Idempotency-Key
	Match string // what stands in If-Match

	Want   int            // the status of success
	Deny   map[string]int // actor and the status that it gets
	Repeat int            // the status of the same request again; unsafe methods only
	Stale  int            // the status with another version than the current one

	Stream    bool
	Anew      bool   // the same request again makes another one
	Secret    bool   // its words in braces are proofs, not ids: another tenant's are just wrong
	Foreign   int    // what another tenant's ids get, 404 when 0
	Elsewhere string // where it is proved, for what this table cannot do
	Prepare   func(ctx context.Context, s *Scene) error
}

// The actors of a tenant.
const (
	nobody   = "nobody"
	patient  = "patient"  // has the scene's persons and visits
	stranger = "stranger" // another patient
	guest    = "guest"    // a patient whose session ends here
	leaver   = "leaver"   // another one
	operator = "operator"
	desk     = "registrar"
	nurse    = "nurse"
	officer  = "privacy_officer"
	system   = "system_admin"
	security = "security_admin"
	auditor  = "audit_admin"
)

// staffOnly are the refusals of a route for one role.
func staffOnly() map[string]int { return map[string]int{nobody: 401, patient: 403, auditor: 403} }

func loggedIn() map[string]int { return map[string]int{nobody: 401} }

// own are the refusals of what belongs to one patient.
func own() map[string]int { return map[string]int{nobody: 401, stranger: 404} }

const ruleBody = `{"campus_id":"{campus}","department_id":"{department}","practitioner_id":"{practitioner}","session":"%s","class":"ordinary",` +
	`"seats":10,"slot_minutes":6,"fee_fen":2500,"start":"%s","end":"%s","recurrence":"FREQ=WEEKLY;BYDAY=MO","from":"{far}"}`

func clientBody(name string) string {
	return `{"name":"` + name + `","accounts":"staff","grants":["authorization_code"],"redirect_uris":["https://his.example.com/cb"]}`
}

// idpBody is an identity provider at a name that leads nowhere.
func idpBody(key, name string) string {
	return `{"key":"` + key + `","kind":"oidc","accounts":"staff","name":"` + name + `","issuer":"https://id.invalid","client_id":"hospital","secret":"s3cret","enabled":true}`
}

const wishes = `{"topics":{"visit":` + everyWay + `,"queue":` + everyWay + `,"payment":` + everyWay + `,"service":` + everyWay + `},` +
	`"quiet":true,"quiet_from":"22:00","quiet_to":"07:00"}`

// always are the wishes of who is told at any hour, so that a test runs at any.
var always = strings.Replace(wishes, `"quiet":true`, `"quiet":false`, 1)

// browser is a push subscription that nothing is ever sent to: the key is the base point of P-256.
const browser = `{"endpoint":"https://push.example.com/x","auth":"AAAAAAAAAAAAAAAAAAAAAA","label":"测试",` +
	`"p256dh":"BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}`

const everyWay = `{"sms":true,"mail":true,"push":true}`

const (
	marketing  = `{"title":"活动信息","body":"体检和讲座","necessity":"","effect":""}`
	sharing    = `{"title":"研究","body":"用于研究","necessity":"需要真实数据","effect":"不影响就诊"}`
	assessment = `{"title":"智能导诊上线","processing":"主诉文本","necessity":"分诊","risks":"误导","measures":"人工复核","risk":"medium","conclusion":"pending",` +
		`"review_date":"2030-01-01"}`
	incident = `{"title":"误发邮件","what":"一封邮件发错收件人","measures":"已撤回","severity":"general","persons":1,"found_at":"2026-01-05T08:00:00Z"}`
)

// Routes is the table.
var Routes = []Route{
	// Everybody's.
	{Op: "directory.read_organization", Who: nobody, Want: 200},
	{Op: "directory.list_campuses", Who: nobody, Want: 200},
	{Op: "directory.list_departments", Who: nobody, Query: "?campus_id={campus}", Want: 200},
	{Op: "directory.list_practitioners", Who: nobody, Query: "?department_id={department}", Want: 200},
	{Op: "directory.read_practitioner", Who: nobody, ID: "{practitioner}", Want: 200},
	{Op: "scheduling.list_schedules", Who: nobody, Query: "?department_id={department}&from={day}&to={day}", Want: 200},
	{Op: "scheduling.list_slots", Who: nobody, ID: "{schedule}", Want: 200},
	{Op: "scheduling.watch_schedules", Who: nobody, Query: "?ids={schedule}", Want: 200, Stream: true},
	{Op: "payment.take_callback", Who: nobody, Body: `{}`, Elsewhere: "TestCallbacks"},

	// Logging in.
	{Op: "identity.send_code", Who: nobody, Body: `{"phone":"{phone_a}"}`, Want: 202, Repeat: 429},
	{Op: "identity.login_patient", Who: nobody, Body: `{"challenge_id":"{challenge}","code":"{code}"}`, Want: 201, Repeat: 401, Secret: true, Prepare: codeFor("b")},
	{Op: "identity.create_token", Who: nobody, Body: `{"grant":"code","challenge_id":"{challenge}","code":"{code}"}`, Want: 201, Repeat: 401, Secret: true, Prepare: codeFor("c")},
	{Op: "identity.login_staff", Who: nobody, Body: `{"username":"spare","password":"{password}","totp":"{totp}"}`, Want: 201, Repeat: 401, Prepare: totpOf("spare")},

	{Op: "identity.ask_passkey", Who: nobody, Want: 200, Repeat: 200, Anew: true},
	{Op: "identity.login_passkey", Who: nobody, Elsewhere: "identitysvc.TestPasskeyAttacks"},

	// The own ways in.
	{Op: "identity.list_passkeys", Who: patient, Want: 200, Deny: loggedIn()},
	{Op: "identity.offer_passkey", Who: patient, Want: 200, Repeat: 200, Deny: loggedIn(), Anew: true},
	{Op: "identity.add_passkey", Who: patient, Elsewhere: "identitysvc.TestPasskeys"},
	{Op: "identity.rename_passkey", Who: patient, Elsewhere: "identitysvc.TestPasskeys"},
	{Op: "identity.remove_passkey", Who: patient, Elsewhere: "identitysvc.TestPasskeys"},
	{Op: "identity.begin_step_up", Who: patient, Want: 200, Repeat: 200, Deny: loggedIn()},
	{Op: "identity.send_step_up_code", Who: patient, Elsewhere: "identitysvc.TestStepUpOfPatients"},
	{Op: "identity.step_up", Who: operator, Elsewhere: "identitysvc.TestStepUp"},
	{Op: "identity.list_logins", Who: patient, Want: 200, Deny: loggedIn()},
	{Op: "identity.offer_totp", Who: operator, Want: 201, Repeat: 201, Deny: map[string]int{nobody: 401, patient: 403}, Anew: true},
	{Op: "identity.replace_totp", Who: operator, Elsewhere: "identitysvc.TestReplaceTOTP"},

	// A patient's own.
	{Op: "identity.read_me", Who: patient, Want: 200, Deny: loggedIn()},
	{Op: "identity.list_sessions", Who: patient, Want: 200, Deny: loggedIn()},
	{Op: "patient.list", Who: patient, Want: 200, Deny: map[string]int{nobody: 401, operator: 403}},
	{
		Op: "patient.add", Who: patient, Body: `{"name":"测试","document_type":"passport","document_number":"E7654321","birth_date":"1980-01-02","sex":"male","relationship":"other"}`,
		Want: 201, Repeat: 201, Deny: map[string]int{nobody: 401, operator: 403},
	},
	{Op: "patient.read", Who: patient, ID: "{patient}", Want: 200, Deny: own()},
	{Op: "patient.update", Who: patient, ID: "{patient}", Body: `{"phone":"13900000001"}`, Match: "{patient_version}", Want: 200, Repeat: 412, Stale: 412, Deny: own()},
	{Op: "patient.verify", Who: patient, ID: "{patient}", Want: 200, Repeat: 200, Deny: own()},
	{Op: "patient.prove", Who: stranger, ID: "{claim}", Body: `{"code":"{claim_code}"}`, Want: 201, Repeat: 409, Deny: map[string]int{nobody: 401, patient: 404}, Prepare: claimCode},
	{Op: "patient.list_claims", Who: desk, Query: "?state=open&limit=5", Want: 200, Deny: staffOnly()},
	{Op: "patient.read_claim", Who: desk, ID: "{desk_claim}", Want: 200, Deny: staffOnly()},
	{Op: "patient.prove_at_desk", Who: desk, ID: "{desk_claim}", Want: 204, Repeat: 409, Deny: staffOnly()},
	{Op: "patient.unlink", Who: patient, ID: "{unlinked}", Want: 204, Repeat: 404, Deny: own()},
	{Op: "notify.list_notices", Who: patient, Want: 200, Deny: loggedIn()},
	{Op: "notify.read_notice", Who: patient, ID: "{notice}", Want: 204, Repeat: 204, Deny: own()},
	{Op: "notify.read_all_notices", Who: patient, Want: 204, Repeat: 204, Deny: loggedIn()},
	{Op: "notify.read_preferences", Who: patient, Want: 200, Deny: loggedIn()},
	{Op: "notify.update_preferences", Who: patient, Body: wishes, Match: "1", Want: 200, Repeat: 412, Stale: 412, Deny: loggedIn()},
	{Op: "notify.prove_mail", Who: patient, Elsewhere: "notifysvc.TestMailAddress"}, // the rig has no mail server
	{Op: "notify.confirm_mail", Who: patient, Elsewhere: "notifysvc.TestMailAddress"},
	{Op: "notify.remove_mail", Who: patient, Want: 204, Repeat: 204, Deny: loggedIn()},
	{Op: "notify.read_push_key", Who: patient, Want: 200, Deny: loggedIn()},
	{Op: "notify.add_device", Who: patient, Body: browser, Want: 201, Repeat: 201, Deny: loggedIn()},
	{Op: "notify.list_devices", Who: patient, Want: 200, Deny: loggedIn()},
	{Op: "notify.remove_device", Who: patient, ID: "{device}", Want: 204, Repeat: 404, Deny: own()},
	{Op: "scheduling.list_appointments", Who: patient, Want: 200, Deny: map[string]int{nobody: 401, system: 403}},
	{
		Op: "scheduling.hold", Who: patient, Body: `{"patient_id":"{patient}","schedule_id":"{free_schedule}","any":true}`, Key: true, Want: 201, Repeat: 201,
		Deny: map[string]int{nobody: 401, stranger: 404, operator: 403},
	},
	{Op: "scheduling.read_appointment", Who: patient, ID: "{appointment}", Want: 200, Deny: own()},
	{Op: "queue.take_place", Who: patient, Body: `{"department_id":"{department}"}`, Want: 201, Repeat: 201, Deny: loggedIn(), Foreign: 201},
	{Op: "queue.read_place", Who: patient, Elsewhere: "TestBadInput"},
	{Op: "queue.watch_place", Who: patient, Elsewhere: "TestBadInput"},
	{Op: "queue.take_challenge", Who: patient, Want: 200, Repeat: 200, Deny: loggedIn()},
	{Op: "queue.send_code", Who: patient, Elsewhere: "admission.TestChallenge"},
	{Op: "queue.answer_challenge", Who: patient, Body: `{"nonce":"x","suffix":"x"}`, Elsewhere: "admission.TestChallenge"},
	{Op: "scheduling.read_calendar", Who: nobody, Elsewhere: "schedulingsvc.TestCalendarRoute"},
	{Op: "scheduling.open_lottery", Who: operator, Elsewhere: "schedulingsvc.TestLotteryRoutes"},
	{Op: "scheduling.read_lottery", Who: nobody, Elsewhere: "schedulingsvc.TestLotteryRoutes"},
	{Op: "scheduling.read_lottery_proof", Who: nobody, Elsewhere: "schedulingsvc.TestLotteryRoutes"},
	{Op: "scheduling.enter_lottery", Who: patient, Elsewhere: "schedulingsvc.TestLotteryRoutes"},
	{Op: "scheduling.list_lottery_entries", Who: patient, Elsewhere: "schedulingsvc.TestLotteryRoutes"},
	{Op: "payment.read", Who: patient, ID: "{payment}", Want: 200, Deny: own()},
	{Op: "payment.query", Who: patient, ID: "{payment}", Want: 200, Repeat: 200, Deny: own()},
	{Op: "payment.list_refunds", Who: patient, ID: "{payment}", Want: 200, Deny: own()},
	{Op: "payment.prepay", Who: patient, ID: "{open_payment}", Body: `{"channel":"wechat","return_url":"/m/"}`, Want: 200, Repeat: 200, Deny: own()},
	{Op: "scheduling.cancel", Who: patient, ID: "{cancelled}", Body: `{}`, Match: "{cancelled_version}", Want: 200, Repeat: 200, Stale: 412, Deny: own()},

	// What a person decides and asks for.
	{Op: "privacy.list_consents", Who: patient, ID: "{patient}", Want: 200, Deny: own()},
	{Op: "privacy.decide_consent", Who: patient, ID: "{patient}", Body: `{"purpose":"research","given":true,"version":1}`, Want: 200, Repeat: 200, Deny: own()},
	{Op: "privacy.list_consent_steps", Who: patient, ID: "{patient}", Want: 200, Deny: own()},
	{
		Op: "privacy.ask", Who: patient, ID: "{patient}", Body: `{"kind":"correct","reason":"登记的姓名有误"}`, Key: true, Want: 201, Repeat: 201,
		Deny: map[string]int{nobody: 401, stranger: 404, officer: 403},
	},
	{Op: "privacy.list_requests", Who: patient, ID: "{patient}", Want: 200, Deny: own()},
	{Op: "privacy.list_accesses", Who: patient, ID: "{patient}", Want: 200, Deny: own()},
	{Op: "privacy.preview_erasure", Who: patient, ID: "{patient}", Want: 200, Deny: own()},
	{Op: "privacy.take_copy", Who: patient, ID: "{copy_request}", Want: 200, Repeat: 410, Deny: own(), Prepare: copyReady},
	{Op: "privacy.cancel_request", Who: stranger, ID: "{taken_back}", Want: 204, Repeat: 409, Deny: map[string]int{nobody: 401, patient: 404}},

	// The privacy officer's.
	{Op: "privacy.list_texts", Who: officer, Want: 200, Deny: staffOnly()},
	{
		Op: "privacy.publish_text", Who: operator, Body: `{"purpose":"marketing","after":0,"zh":` + marketing + `,"en":` + marketing + `}`, Want: 201, Repeat: 412,
		Deny: staffOnly(),
	},
	{Op: "privacy.list_due", Who: officer, Want: 200, Deny: staffOnly()},
	{Op: "privacy.read_request", Who: officer, ID: "{correction}", Want: 200, Deny: staffOnly()},
	{
		Op: "privacy.decide_request", Who: officer, ID: "{correction}", Body: `{"accept":false,"note":"证件与登记一致"}`, Match: "1", Want: 200, Repeat: 409, Stale: 412,
		Deny: staffOnly(),
	},
	{Op: "privacy.list_retained", Who: officer, Want: 200, Deny: staffOnly()},
	{Op: "privacy.open_retained", Who: officer, Elsewhere: "app.TestErasure"},
	{Op: "privacy.list_assessments", Who: officer, Want: 200, Deny: staffOnly()},
	{Op: "privacy.create_assessment", Who: officer, Body: assessment, Key: true, Want: 201, Repeat: 201, Deny: staffOnly()},
	{Op: "privacy.update_assessment", Who: officer, ID: "{assessment}", Body: assessment, Match: "1", Want: 200, Repeat: 412, Stale: 412, Deny: staffOnly()},
	{Op: "privacy.list_breaches", Who: security, Want: 200, Deny: staffOnly()},
	{Op: "privacy.create_breach", Who: security, Body: incident, Key: true, Want: 201, Repeat: 201, Deny: staffOnly()},
	{Op: "privacy.update_breach", Who: officer, ID: "{breach}", Body: incident, Match: "1", Want: 200, Repeat: 412, Stale: 412, Deny: staffOnly()},

	// The desk's and the operator's.
	{Op: "patient.search_at_desk", Who: desk, Body: `{"phone":"{desk_phone}"}`, Want: 200, Repeat: 200, Deny: staffOnly()},
	{
		Op: "patient.register_at_desk", Who: desk, Body: `{"name":"测老人","document_type":"passport","document":"E9876543","birth":"1941-01-02"}`, Key: true,
		Want: 201, Repeat: 201, Deny: staffOnly(),
	},
	{
		Op: "scheduling.book_at_desk", Who: desk, Body: `{"patient_id":"{desk_patient}","schedule_id":"{free_schedule}","any":true}`, Key: true,
		Want: 201, Repeat: 201, Deny: staffOnly(),
	},
	{Op: "scheduling.list_desk_appointments", Who: desk, Query: "?patient_id={desk_patient}", Want: 200, Deny: staffOnly()},
	{Op: "payment.take_cash", Who: desk, ID: "{cash_payment}", Body: `{"received_fen":3000}`, Key: true, Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "payment.list", Who: desk, Want: 200, Deny: staffOnly()},
	{Op: "payment.list_all_refunds", Who: operator, Query: "?state=requested&channel=cash", Want: 200, Deny: staffOnly()},
	{Op: "payment.pay_out", Who: desk, ID: "{cash_refund}", Key: true, Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "payment.retry_refund", Who: operator, Elsewhere: "paymentsvc.TestRetryRefund"},
	{Op: "payment.refund", Who: operator, ID: "{payment}", Body: `{"amount_fen":100,"reason":"goodwill"}`, Key: true, Want: 201, Repeat: 201, Deny: map[string]int{nobody: 401, patient: 403, stranger: 403, auditor: 403}},
	{Op: "directory.create_campus", Who: operator, Body: `{"name":"南院区"}`, Want: 201, Repeat: 201, Deny: staffOnly()},
	{Op: "directory.create_department", Who: operator, Body: `{"campus_id":"{campus}","parent_id":"{department}","name":"新科"}`, Want: 201, Repeat: 201, Deny: staffOnly()},
	{Op: "directory.create_practitioner", Who: operator, Body: `{"licence_no":"110310000099999","name":"新来","title":"主治医师","department_id":"{department}"}`, Want: 201, Repeat: 201, Deny: staffOnly()},
	{Op: "directory.update_practitioner", Who: operator, ID: "{practitioner}", Body: `{"name":"测试一","title":"主任医师"}`, Match: "{practitioner_version}", Want: 200, Repeat: 412, Stale: 412, Deny: staffOnly()},
	{Op: "scheduling.list_rotas", Who: operator, Query: "?department_id={department}", Want: 200, Deny: staffOnly()},
	{Op: "scheduling.preview_rota", Who: operator, Body: `{"rule":` + rule("evening", "18:00", "19:00") + `}`, Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "scheduling.create_rota", Who: operator, Body: rule("afternoon", "13:30", "14:30"), Want: 201, Repeat: 409, Deny: staffOnly()},
	{Op: "scheduling.update_rota", Who: operator, ID: "{rota}", Body: rule("evening", "18:00", "19:00"), Match: "{rota_version}", Want: 200, Repeat: 412, Stale: 412, Deny: staffOnly()},
	{Op: "scheduling.read_booking_rules", Who: operator, Want: 200, Deny: staffOnly()},
	{Op: "scheduling.update_booking_rules", Who: operator, Body: `{"preset":"standard"}`, Match: "{rules_version}", Want: 200, Repeat: 412, Stale: 412, Deny: staffOnly()},
	{Op: "scheduling.list_session_appointments", Who: desk, ID: "{schedule}", Want: 200, Deny: staffOnly()},
	{
		Op: "scheduling.stop_session", Who: operator, ID: "{stopped}", Body: `{"reason":"医师临时外出"}`, Key: true, Match: "{stopped_version}",
		Want: 200, Repeat: 200, Stale: 412, Deny: staffOnly(), Prepare: planVersion,
	},
	{Op: "scheduling.read_stop", Who: desk, ID: "{stopped}", Want: 200, Deny: staffOnly()},
	{
		Op: "scheduling.resume_session", Who: operator, ID: "{stopped}", Key: true, Match: "{stopped_version}",
		Want: 200, Repeat: 200, Stale: 412, Deny: staffOnly(), Prepare: planVersion,
	},

	// The waiting line: {turn_a} is called, {turn_b} waits, {turn_c} and {turn_d} are expected.
	{Op: "clinic.list_sessions", Who: nurse, Query: "?department_id={department}", Want: 200, Deny: staffOnly()},
	{Op: "clinic.read_queue", Who: nurse, ID: "{line}", Want: 200, Deny: staffOnly()},
	{Op: "clinic.watch_queue", Who: nurse, ID: "{line}", Want: 200, Stream: true, Deny: staffOnly()},
	{Op: "clinic.finish", Who: nurse, ID: "{turn_a}", Key: true, Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "clinic.call_next", Who: nurse, ID: "{line}", Body: `{"version":1000000}`, Key: true, Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "clinic.pause", Who: nurse, ID: "{line}", Body: `{"minutes":10,"reason":"round"}`, Key: true, Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "clinic.resume", Who: nurse, ID: "{line}", Key: true, Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "clinic.recall", Who: nurse, ID: "{turn_b}", Key: true, Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "clinic.skip", Who: nurse, ID: "{turn_b}", Key: true, Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "clinic.check_in_at_desk", Who: desk, ID: "{turn_c}", Key: true, Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "clinic.reveal", Who: nurse, ID: "{turn_c}", Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "clinic.read_turn", Who: patient, ID: "{turn_d}", Want: 200, Deny: own()},
	{Op: "clinic.watch_turn", Who: patient, ID: "{turn_d}", Want: 200, Stream: true, Deny: own()},
	{Op: "clinic.check_in", Who: patient, ID: "{turn_d}", Key: true, Want: 200, Repeat: 200, Deny: own()},
	{Op: "clinic.list_displays", Who: operator, Want: 200, Deny: staffOnly()},
	{Op: "clinic.create_display", Who: operator, Body: `{"name":"大厅","campus_id":"{campus}","department_ids":["{department}"]}`, Want: 201, Repeat: 409, Deny: staffOnly()},
	{Op: "clinic.delete_display", Who: operator, ID: "{display}", Want: 204, Repeat: 404, Deny: staffOnly()},
	{Op: "clinic.read_rules", Who: operator, Want: 200, Deny: staffOnly()},
	{Op: "clinic.update_rules", Who: operator, Body: `{"early_minutes":60,"late_minutes":30,"show_names":true}`, Match: "0", Want: 200, Repeat: 412, Stale: 412, Deny: staffOnly()},
	{Op: "clinic.read_board", Who: nobody, Elsewhere: "clinicsvc.TestWall"},
	{Op: "clinic.watch_board", Who: nobody, Elsewhere: "clinicsvc.TestLive"},
	{Op: "interop.start_import", Who: operator, Query: "?kind=icd10&name=codes.csv", Body: `I10.x00 特发性高血压`, Key: true, Want: 202, Repeat: 202, Deny: staffOnly()},
	{Op: "interop.list_imports", Who: operator, Want: 200, Deny: staffOnly()},
	{Op: "interop.read_import", Who: operator, ID: "{import}", Want: 200, Deny: staffOnly()},
	{Op: "terminology.search", Who: desk, Query: "?q=I10", Want: 200, Deny: map[string]int{nobody: 401, patient: 403}},

	// The administrators'.
	{Op: "identity.list_staff", Who: security, Want: 200, Deny: staffOnly()},
	{Op: "identity.read_staff", Who: security, ID: "{staff}", Want: 200, Deny: staffOnly()},
	{Op: "identity.create_staff", Who: security, Body: `{"username":"newcomer","name":"新人","initial_password":"{password}"}`, Want: 201, Repeat: 409, Deny: staffOnly()},
	{Op: "identity.put_grants", Who: security, ID: "{staff}", Body: `{"grants":[{"role":"nurse"}]}`, Match: "{staff_version}", Want: 200, Repeat: 412, Stale: 412, Deny: staffOnly()},
	{Op: "identity.disable_staff", Who: security, ID: "{staff}", Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "audit.read_log", Who: auditor, Want: 200, Deny: map[string]int{nobody: 401, patient: 403, security: 403}},
	{Op: "audit.list_heads", Who: auditor, Want: 200, Deny: map[string]int{nobody: 401, patient: 403, security: 403}},
	{Op: "audit.sign_head", Who: auditor, Elsewhere: "auditsvc.TestLogRoutes"}, // there is something to sign once it was collected
	{Op: "audit.read_proof", Who: auditor, Elsewhere: "auditsvc.TestLogRoutes"},
	{Op: "audit.read_consistency", Who: auditor, Elsewhere: "auditsvc.TestConsistencyRoute"},
	{Op: "audit.export_bundle", Who: auditor, Elsewhere: "auditsvc.TestBundleRoute"},
	{Op: "audit.search_events", Who: auditor, Body: `{"noun":"Session"}`, Want: 200, Repeat: 200, Deny: map[string]int{nobody: 401, patient: 403, security: 403}},
	{Op: "identity.create_client", Who: security, Body: clientBody("新系统"), Want: 201, Repeat: 201, Deny: staffOnly(), Anew: true},
	{Op: "identity.list_clients", Who: security, Want: 200, Deny: staffOnly()},
	{Op: "identity.read_client", Who: security, ID: "{client}", Want: 200, Deny: staffOnly()},
	{Op: "identity.update_client", Who: security, ID: "{client}", Body: clientBody("改名"), Match: "{client_version}", Want: 200, Repeat: 412, Stale: 412, Deny: staffOnly()},
	{Op: "identity.rotate_client_secret", Who: security, ID: "{client}", Body: `{"overlap_hours":1}`, Want: 201, Repeat: 201, Deny: staffOnly()},
	{Op: "identity.disable_client", Who: security, ID: "{client}", Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "identity.list_login_idps", Who: nobody, Query: "?accounts=staff", Want: 200},
	{Op: "identity.begin_idp_login", Who: nobody, Elsewhere: "identitysvc.TestStaffByProvider"},
	{Op: "identity.finish_idp_login", Who: nobody, Elsewhere: "identitysvc.TestForgedAnswers"},
	{Op: "identity.login_idp", Who: nobody, Elsewhere: "identitysvc.TestSecondFactorHere"},
	{Op: "identity.begin_link", Who: operator, Elsewhere: "identitysvc.TestStaffByProvider"},
	{Op: "identity.unlink_idp", Who: operator, Elsewhere: "identitysvc.TestStaffByProvider"},
	{Op: "identity.list_links", Who: patient, Want: 200, Deny: loggedIn()},
	{Op: "identity.create_idp", Who: security, Body: idpBody("new", "新登录"), Want: 201, Repeat: 409, Deny: staffOnly()},
	{Op: "identity.list_idps", Who: security, Want: 200, Deny: staffOnly()},
	{Op: "identity.read_idp", Who: security, ID: "{idp}", Want: 200, Deny: staffOnly()},
	{Op: "identity.update_idp", Who: security, ID: "{idp}", Body: idpBody("sso", "改名"), Match: "{idp_version}", Want: 200, Repeat: 412, Stale: 412, Deny: staffOnly()},
	{Op: "identity.test_idp", Who: security, ID: "{idp}", Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "identity.disable_idp", Who: security, ID: "{idp}", Want: 200, Repeat: 200, Deny: staffOnly()},
	{Op: "identity.list_signing_keys", Who: security, Want: 200, Deny: staffOnly()},
	{Op: "identity.rotate_signing_key", Who: security, Want: 201, Repeat: 409, Deny: staffOnly()},
	{Op: "audit.list_events", Who: auditor, Want: 200, Deny: map[string]int{nobody: 401, patient: 403, security: 403}},
	{Op: "notify.list_deliveries", Who: operator, Query: "?state=failed", Want: 200, Deny: staffOnly()},
	{Op: "notify.retry_delivery", Who: operator, ID: "{failed_delivery}", Want: 204, Repeat: 409, Deny: staffOnly()},
	{Op: "ops.list_actions", Who: security, Want: 200, Deny: staffOnly()},
	{Op: "ops.explain_access", Who: security, Query: "?account_id={staff}&action=clinic.call_next&resource_id={line}", Want: 200, Deny: staffOnly()},
	{Op: "ops.list_processes", Who: system, Want: 200, Deny: staffOnly()},
	{Op: "ops.list_jobs", Who: system, Query: "?state=dead", Want: 200, Deny: staffOnly()},
	{Op: "ops.list_dead_letters", Who: system, Want: 200, Deny: staffOnly()},
	{Op: "ops.retry_job", Who: system, ID: "{dead_job}", Want: 204, Repeat: 404, Deny: staffOnly()},
	{Op: "ops.replay_dead_letter", Who: system, ID: "{letter}", Want: 204, Repeat: 404, Deny: staffOnly()},

	// The OpenID Connect provider: its doors take proofs, not ids, and answer in the standards' form.
	{Op: "identity.list_consents", Who: patient, Want: 200, Deny: loggedIn()},
	{Op: "identity.withdraw_consent", Who: patient, Elsewhere: "identitysvc.TestConsents"},
	{Op: "identity.read_openid_configuration", Who: nobody, Want: 200},
	{Op: "identity.read_openid_keys", Who: nobody, Want: 200},
	{Op: "identity.authorize", Who: nobody, Elsewhere: "identitysvc.TestCodeFlow"},
	{Op: "identity.authorize_by_form", Who: nobody, Elsewhere: "identitysvc.TestCodeFlow"},
	{Op: "identity.continue_login", Who: nobody, Elsewhere: "identitysvc.TestCodeFlow"},
	{Op: "identity.decide_login", Who: nobody, Elsewhere: "identitysvc.TestConsents"},
	{Op: "identity.issue_token", Who: nobody, Elsewhere: "identitysvc.TestCodeFlow"},
	{Op: "identity.read_userinfo", Who: nobody, Elsewhere: "identitysvc.TestCodeFlow"},
	{Op: "identity.read_userinfo_by_form", Who: nobody, Elsewhere: "identitysvc.TestCodeFlow"},
	{Op: "identity.introspect_token", Who: nobody, Elsewhere: "identitysvc.TestTokensOfOthers"},
	{Op: "identity.revoke_token", Who: nobody, Elsewhere: "identitysvc.TestTokensOfOthers"},
	{Op: "identity.start_device", Who: nobody, Elsewhere: "identitysvc.TestDeviceFlow"},
	{Op: "identity.show_consents", Who: nobody, Elsewhere: "identitysvc.TestConsents"},
	{Op: "identity.withdraw_on_page", Who: nobody, Elsewhere: "identitysvc.TestConsents"},
	{Op: "identity.show_device", Who: nobody, Elsewhere: "identitysvc.TestDeviceFlow"},
	{Op: "identity.decide_device", Who: nobody, Elsewhere: "identitysvc.TestDeviceFlow"},
	{Op: "identity.logout_by_client", Who: nobody, Elsewhere: "identitysvc.TestLogoutByClient"},
	{Op: "identity.logout_by_form", Who: nobody, Elsewhere: "identitysvc.TestLogoutByClient"},
	{Op: "identity.confirm_logout", Who: nobody, Elsewhere: "identitysvc.TestLogoutByClient"},

	// The end of sessions.
	{Op: "identity.revoke_session", Who: guest, ID: "{guest_session}", Want: 204, Repeat: 401, Deny: map[string]int{nobody: 401, stranger: 404}},
	{Op: "identity.end_session", Who: leaver, Want: 204, Repeat: 401, Deny: loggedIn()},
}

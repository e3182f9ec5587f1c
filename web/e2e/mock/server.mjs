// A stand-in for the server, for looking at screens and their states while developing: everything in memory, nothing real. The
// product never uses it. `--port N --cashier N`; the header-less switches under /__mock/ make states: delay, fail, offline data.
import { createServer } from 'node:http'
import { existsSync, readFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'

const arg = (name, fallback) => {
  const i = process.argv.indexOf(`--${name}`)
  return i > 0 ? process.argv[i + 1] : fallback
}
const port = Number(arg('port', 8090))
const cashierPort = Number(arg('cashier', 8092))
const dist = fileURLToPath(new URL('../../dist/', import.meta.url))
const queuePage = fileURLToPath(new URL('../../../internal/platform/admission/page/queue.html', import.meta.url))
const day = (n) => new Date(Date.now() + 8 * 3600e3 + n * 86400e3).toISOString().slice(0, 10)
const at = (d, hm) => new Date(`${d}T${hm}:00+08:00`).toISOString()

const campuses = [
  { id: 'c1', name: '城东院区', name_en: 'East Campus', address: '杏林路 8 号', phone: '400-000-0000' },
  { id: 'c2', name: '滨江院区', name_en: 'Riverside Campus', address: '滨江大道 120 号', phone: '400-000-0001' },
]
const dep = (id, parent_id, name, name_en, doctor_count, location) => ({ id, parent_id, campus_id: 'c1', name, name_en, doctor_count, location, description: '', intro: '' })
const departments = [
  dep('d0', null, '内科', 'Internal medicine', 0, ''),
  dep('d1', 'd0', '心血管内科', 'Cardiology', 3, '门诊楼 3 层'),
  dep('d2', 'd0', '内分泌科', 'Endocrinology', 2, '门诊楼 3 层'),
  dep('d3', 'd0', '呼吸内科', 'Respiratory medicine', 2, '门诊楼 4 层'),
  dep('d4', null, '儿科', 'Paediatrics', 2, '儿科楼 1 层'),
  dep('d5', null, '骨科', 'Orthopaedics', 1, '门诊楼 2 层'),
  dep('d6', null, '眼科', 'Ophthalmology', 1, '门诊楼 5 层'),
  dep('d7', null, '口腔科', 'Dentistry', 1, '门诊楼 5 层'),
]
const doc = (id, name, title, title_en, specialty, department = 'd1') => {
  const d = departments.find((x) => x.id === department)
  return { id, name, title, title_en, specialty, department_id: d.id, department_name: d.name, campus_id: 'c1', campus_name: '城东院区', years_of_practice: 16, licence_no: '110000000000001' }
}
const practitioners = [
  doc('p1', '林知夏', '副主任医师', 'Associate chief physician', '高血压、冠心病、心力衰竭的长期管理'),
  doc('p2', '周以宁', '主任医师', 'Chief physician', '心律失常、起搏器随访'),
  doc('p3', '何安', '主治医师', 'Attending physician', '高血脂、胸闷心悸'),
  doc('p4', '许明远', '主任医师', 'Chief physician', '糖尿病、甲状腺疾病', 'd2'),
]
const schedules = []
const slots = new Map()
for (const p of practitioners)
  for (let n = 0; n < 9; n++) {
    const date = day(n)
    if (n === 3) continue
    for (const [session, from] of [['morning', 8], ['afternoon', 14]]) {
      if (session === 'afternoon' && n % 2) continue
      const id = `s-${p.id}-${n}-${session}`
      const list = []
      for (let i = 0; i < 6; i++) {
        const hm = (m) => `${String(from + Math.floor(m / 60)).padStart(2, '0')}:${String(m % 60).padStart(2, '0')}`
        const capacity = 3
        const remaining = n === 0 ? 0 : n === 4 ? 0 : [0, 2, 3, 1, 3, 2][i]
        list.push({ id: `${id}-${i}`, starts_at: at(date, hm(i * 30)), ends_at: at(date, hm(i * 30 + 30)), capacity, remaining, state: n === 0 ? 'past' : remaining === 0 ? 'full' : remaining === 1 ? 'few' : 'free' })
      }
      slots.set(id, list)
      const remaining = list.reduce((a, s) => a + s.remaining, 0)
      schedules.push({ id, date, session, campus_id: 'c1', department_id: p.department_id, department_name: p.department_name, practitioner_id: p.id, practitioner_name: p.name, practitioner_title: p.title, class: p.id === 'p3' ? 'ordinary' : 'expert', fee_fen: p.id === 'p3' ? 0 : 2500, starts_at: at(date, `${String(from).padStart(2, '0')}:00`), ends_at: at(date, `${String(from + 3).padStart(2, '0')}:00`), location: '门诊楼 3 层', released_at: n > 6 ? at(day(n - 7), '08:00') : at(day(-3), '08:00'), state: n > 6 ? 'planned' : n === 5 ? 'stopped' : n === 0 ? 'ended' : remaining ? 'open' : 'full', capacity: 18, remaining, updated_at: new Date().toISOString() })
    }
  }
const patients = [{ id: 'pt1', name: '张晓三', document_type: 'resident_id', document_masked: '**************1X', birth_date: '1968-03-02', sex: 'male', phone_masked: '138****0001', relationship: 'self', verified: 'none', version: 1 }]
const appointments = []
const payments = new Map()
const refunds = new Map()
const notices = []
const inbox = []
const sessions = new Set()
/** What a person decides and asks for. */
const purposes = ['record_sharing', 'personalisation', 'research', 'marketing'].map((purpose, i) => ({
  text: {
    purpose, version: i + 1, sensitive: purpose !== 'marketing', published_at: new Date(Date.now() - 30 * 864e5).toISOString(),
    zh: { title: ['本院科室间共享诊疗记录', '个性化推荐与智能助手', '用于医学研究', '健康活动与服务信息'][i], body: '您同意后，医院才会这样使用；不同意也不影响看病。', necessity: '不使用这些信息，结果对所有人都一样。', effect: '随时可以撤回，撤回后立即生效。' },
    en: { title: ['Records shared between departments', 'Personal recommendations', 'Medical research', 'News of health services'][i], body: 'Only if you consent. Your care does not depend on it.', necessity: 'Without it the results are the same for everybody.', effect: 'You can withdraw at any time.' },
  },
  ...[{ decision: 'given', version: 1, by: 'self', at: new Date(Date.now() - 9 * 864e5).toISOString() }, { decision: 'outdated', version: 1, by: 'self', at: new Date(Date.now() - 90 * 864e5).toISOString() }, { decision: 'none' }, { decision: 'none' }][i],
}))
const accesses = [
  ['ac1', 'staff', '李四', ['doctor'], 'clinic.call_next', '叫下一位', 'Call the next one', '医生在自己的门诊叫号', 'A doctor calls in the own session', 0.1],
  ['ac2', 'staff', '王芳', ['registrar'], 'patient.find_at_desk', '在窗口查找就诊人', 'Find a person at the window', '挂号窗口为到场的人办理', 'The registration window serves who stands there', 2],
  ['ac3', 'patient', '', [], 'patient.read_patient', '查看就诊人', 'See a person', '账号查看绑定的就诊人', 'An account sees persons linked to it', 9],
  ['ac4', 'cli', '', [], 'patient.import', '', '', '服务器上的操作员导入就诊人', 'An operator at the machine imports persons', 30],
].map(([id, by, name, roles, action, zh, en, pzh, pen, days]) => ({ id, by, name, roles, action, called: { zh, en }, policy: { zh: pzh, en: pen }, why: '', at: new Date(Date.now() - days * 864e5).toISOString() }))
const asked = [{ id: 'rq1', patient_id: 'pt1', kind: 'copy', state: 'ready', reason: '', answer: '', created_at: new Date(Date.now() - 864e5).toISOString(), due_date: day(20), take_until: new Date(Date.now() + 6 * 864e5).toISOString(), version: 2 }]
let proved = false
let passkeys = [
  { id: 'k1', name: '我的手机', host: 'hospital.example', synced: true, blocked: false, created_at: new Date(Date.now() - 40 * 864e5).toISOString(), used_at: new Date(Date.now() - 864e5).toISOString() },
  { id: 'k2', name: '旧手机', host: 'hospital.example', synced: false, blocked: true, created_at: new Date(Date.now() - 400 * 864e5).toISOString() },
]
const keys = new Map()
let serial = 17
let prepays = 0
/** Who one is: answered also while everything else is slow or refused. */
const known = (path) => /^(auth\/(me|codes)$|demo\/)/.test(path)
// door: what a hold meets before it is looked at (pass, busy, timeout, work); place: what the waiting room says; lottery, entry, witness: the
// lottery of one session, what an entry came to, and whether there was a witness (yes, no, silent).
// turn: where today's visit stands in the line. session: whether it has ended. build: an answer to the look for a new build.
const calm = { slow: false, refuse: false, turn: '', session: '', build: '', stream: '', prefs: '', delay: 0, fail: '', empty: false, taken: false, cold: false, door: '', place: 'waiting', lottery: '', entry: '', witness: 'yes' }
const mode = { ...calm }

const problem = (res, status, code, title, title_en, extra = {}) =>
  send(res, status, { type: 'about:blank', title, title_en, status, code, trace_id: '4bf92f3577b34da6a3ce929d0e0e4736', ...extra }, { 'Content-Type': 'application/problem+json' })
function send(res, status, body, headers = {}) {
  res.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers })
  res.end(body === undefined ? undefined : JSON.stringify(body))
}
const me = { account_id: 'a1', kind: 'patient', phone_masked: '138****0001', name: '张晓三', roles: [], session_id: 'x1', factors: ['code'], demo: true }
const slotOf = (id) => [...slots.values()].flat().find((s) => s.id === id)
function view(a) {
  return { ...a, history: a.history }
}
function seat(slotId, delta) {
  const s = slotOf(slotId)
  s.remaining += delta
  s.state = s.remaining === 0 ? 'full' : s.remaining === 1 ? 'few' : 'free'
  const schedule = schedules.find((x) => slots.get(x.id).includes(s))
  schedule.remaining += delta
  for (const l of listeners) l(schedule)
}
const listeners = new Set()
function advance(a, to) {
  a.history.push({ from: a.state, to, at: new Date().toISOString(), by: 'patient' })
  a.state = to
  a.version++
}
function settle(p) {
  if (p.state !== 'open') return
  p.state = 'paid'
  p.paid_at = new Date().toISOString()
  const a = appointments.find((x) => x.id === p.reference_id)
  a.number = ++serial
  a.number_text = `A0${serial}`
  a.payment_state = 'paid'
  a.cancellable = true
  advance(a, 'booked')
  notices.unshift({ id: randomUUID(), title: '预约成功', title_en: 'Booked', body: `${a.department_name} ${a.practitioner_name}`, body_en: 'Your visit is booked.', created_at: new Date().toISOString(), link: `/m/visits/${a.id}` })
}

const drawn = 's-p2-1-morning'
/** A session as it is sold: the one with a lottery is not, until the draw is over. */
const asReleased = (s) => (s.id === drawn && mode.lottery && mode.lottery !== 'done' ? { ...s, lottery: true, ...(mode.lottery === 'announced' ? { state: 'planned', released_at: lotteryView().opens_at } : {}) } : { ...s, lottery: false })
const entries = []
const hex = (c) => c.repeat(64)
/** The lottery as it stands by the switch; its window lies around the moment of the look. */
function lotteryView() {
  const now = Date.now()
  const [from, to] = { announced: [272, 332], open: [-20, 41] }[mode.lottery] ?? [-90, -30]
  const when = (s) => new Date(now + s * 1000).toISOString()
  const over = ['sealed', 'drawn', 'done'].includes(mode.lottery)
  const draw = ['drawn', 'done'].includes(mode.lottery)
  const witnessed = mode.witness === 'yes' || (mode.witness === 'silent' && !draw)
  return {
    id: drawn, state: mode.lottery, per: 'person', opens_at: when(from), closes_at: when(to), commitment: hex('3'), witness_key: mode.witness === 'no' ? '' : hex('9'), server_time: when(0),
    note_zh: witnessed ? '名单封存后由独立见证人签名，医院和见证人都无法单独决定结果。' : '没有见证人：医院在封存前知道随机种子，有可能挑选结果。',
    note_en: witnessed ? 'An independent witness signed after the list was sealed: neither the hospital nor the witness alone could choose the winners.' : 'No witness: the hospital knew the seed before the list was sealed and could have chosen the winners.',
    ...(over ? { entries: 1284, seats: 11, root: hex('b'), sealed_at: when(to) } : {}), ...(draw ? { seed: hex('5'), witnessed: mode.witness === 'yes' } : {}), ...(mode.lottery === 'done' ? { winners: 11 } : {}),
  }
}
/** An entry as it stands; one that won is an appointment with its payment. */
function entryView(e) {
  const over = mode.lottery === 'done'
  const state = over ? mode.entry || 'lost' : 'waiting'
  if (state === 'won' && !appointments.some((a) => a.id === e.id)) hold(e.id, e.patient_id, slots.get(drawn).find((x) => x.remaining > 0), 30)
  return { ...e, state, ...(mode.lottery === 'sealed' ? { of: 1284 } : over ? { rank: state === 'won' ? 7 : 641, of: 1284 } : {}), ...(state === 'won' ? { appointment_id: e.id } : {}), ...(state === 'refused' ? { reason: 'scheduling.limit_reached' } : {}) }
}
/** Takes a seat: an appointment to pay, or a booked one when it is free of charge. */
function hold(id, patient, slot, minutes) {
  const s = schedules.find((x) => slots.get(x.id).includes(slot))
  seat(slot.id, -1)
  const now = new Date()
  const a = { id, number: null, number_text: '', reg_no: `REG-${day(0).replaceAll('-', '')}-${1000 + appointments.length}`, patient_id: patient, patient_name_masked: '张*三', schedule_id: s.id, slot_id: slot.id, date: s.date, session: s.session, starts_at: slot.starts_at, ends_at: slot.ends_at, department_name: s.department_name, practitioner_id: s.practitioner_id, practitioner_name: s.practitioner_name, practitioner_title: s.practitioner_title, campus_name: '城东院区', location: s.location, class: s.class, fee_fen: s.fee_fen, state: 'pending', refund_state: 'none', cancellable: true, cancel_before: at(s.date, '00:00'), version: 1, created_at: now.toISOString(), history: [{ from: '', to: 'pending', at: now.toISOString(), by: 'patient' }] }
  appointments.unshift(a)
  if (s.fee_fen > 0) {
    const p = { id: randomUUID(), purpose: 'appointment', reference_id: a.id, amount_fen: s.fee_fen, state: 'open', expires_at: new Date(Date.now() + minutes * 60e3).toISOString(), channel: 'wechat', refunded_fen: 0, version: 1 }
    payments.set(p.id, p)
    a.payment_id = p.id
    a.payment_state = 'open'
    a.hold_expires_at = p.expires_at
  } else {
    a.number = ++serial
    a.number_text = `A0${serial}`
    advance(a, 'booked')
  }
  return a
}
/** What a hold meets before it is looked at; true when it may go on. */
function admitted(req, res) {
  if (mode.door === 'pass' && req.headers['queue-pass'] !== 'mock-pass') problem(res, 403, 'admission.pass_needed', '请先到等候室排队', 'Take a place in the waiting room first')
  else if (mode.door === 'busy') send(res, 503, { type: 'about:blank', title: '当前请求过多，请稍后再试', title_en: 'Too many requests at the moment, try again', status: 503, code: 'batch.busy', trace_id: '4bf92f3577b34da6a3ce929d0e0e4736' }, { 'Content-Type': 'application/problem+json', 'Retry-After': '5' })
  else if (mode.door === 'unknown') problem(res, 503, 'batch.outcome_unknown', '结果未知，请用同一请求号重试', 'The outcome is unknown, repeat with the same key')
  else if (mode.door === 'work') problem(res, 403, 'admission.challenge_needed', '请先完成安全验证', 'Answer the challenge first')
  else return true
  return false
}
const place = () => ({ server_time: new Date().toISOString(), ...(mode.place === 'admitted' ? { state: 'admitted', token: 'mock-place', pass: 'mock-pass', pass_expires_at: new Date(Date.now() + 118e3).toISOString() } : mode.place === 'sold_out' ? { state: 'ended', reason: 'sold_out' } : { state: 'waiting', token: 'mock-place', position: 1284, estimate_seconds: 95, next_look_seconds: 2 }) })

/** A booked visit of today, from half an hour ago to half an hour ahead. */
function visitToday() {
  const s = schedules.find((x) => x.id === 's-p1-0-morning')
  const a = hold(randomUUID(), 'pt1', slots.get(s.id)[0], 15)
  seat(a.slot_id, 1)
  const now = Date.now()
  Object.assign(a, { starts_at: new Date(now - 1800e3).toISOString(), ends_at: new Date(now + 1800e3).toISOString(), date: day(0), number: 18, number_text: 'A018', location: '门诊楼 3 层 306 诊室', cancellable: false })
  payments.get(a.payment_id).state = 'paid'
  delete a.hold_expires_at
  advance(a, 'booked')
  return a
}
/** The line as the switch says. */
function turnView() {
  const now = Date.now()
  const [phase, also] = mode.turn.split('-')
  const when = (minutes) => new Date(now + minutes * 60e3).toISOString()
  const state = { early: 'expected', open: 'expected', late: 'expected', again: 'missed' }[phase] ?? phase
  const ahead = phase === 'waiting' ? 3 : 0
  return {
    state, number_text: 'A018', position: phase === 'waiting' ? ahead + 1 : 0, ahead, location: '门诊楼 3 层 306 诊室', version: ++turnVersion, server_time: when(0),
    ...(phase === 'waiting' ? { calling_number_text: 'A014', wait_from: when(12), wait_to: when(31) } : {}), ...(also === 'paused' ? { paused_until: when(10) } : {}),
    check_in_from: when(phase === 'early' ? 45 : -90), check_in_until: when(phase === 'late' ? -5 : 60), can_check_in: phase === 'open' || phase === 'again',
  }
}
let turnVersion = 1
let checkIns = 0
const defaults = () => ({ topics: Object.fromEntries(['visit', 'queue', 'payment', 'service'].map((t) => [t, { sms: t !== 'service', mail: false, push: false }])), quiet: true, quiet_from: '22:00', quiet_to: '07:00', mail_masked: '', push_devices: 1 })
let prefs = defaults()
let prefsMark = 1
const devices = [{ id: 'd1', label: 'Chrome · Android', created_at: at(day(-3), '10:20') }]

/** A corridor's board; it moves with every call of next. */
const board = { calls: [], number: 17 }
function boardView() {
  const now = new Date().toISOString()
  const room = (id, n, department, doctor, state, more) => ({ schedule_id: id, room: n, department_name: department, practitioner_name: doctor, state, next: [], waiting: 0, missed: [], ...more })
  return {
    name: '三层候诊区', campus_name: '城东院区', server_time: now, updated_at: now,
    calls: board.calls.slice(0, 6),
    rooms: [
      room('r1', '302 诊室', '心血管内科', '林知夏', 'running', { calling: 'A041', next: ['A043', 'A044', 'A045'], waiting: 9 }),
      room('r2', '304 诊室', '心血管内科', '周以宁', 'running', { calling: 'B007', next: ['B008', 'B011'], waiting: 4, missed: ['B003'] }),
      room('r3', '306 诊室', '心血管内科', '何安', 'running', { ...(board.calls[0] ? { calling: board.calls[0].number_text } : {}), next: [`A0${board.number + 1}`, `A0${board.number + 2}`], waiting: 6, missed: ['A012'] }),
      room('r4', '308 诊室', '内分泌科', '许明远', 'paused', { paused_until: new Date(Date.now() + 600e3).toISOString(), next: ['C012', 'C013'], waiting: 5 }),
      room('r5', '310 诊室', '内分泌科', '高远', 'running', { calling: 'C025', next: ['C026'], waiting: 1 }),
    ],
  }
}
function callNext() {
  board.number++
  board.calls.unshift({ number_text: `A0${board.number}`, name_masked: '张*三', room: '306 诊室', practitioner_name: '何安', called_at: new Date().toISOString(), calls: 1 })
  for (const w of walls) w()
}
const walls = new Set()

const routes = [
  ['GET', /^visits\/([^/]+)\/turn$/, (b, m, res) => (mode.turn ? [200, turnView()] : problem(res, 404, 'clinic.not_found', '没有找到', 'Not found')), true],
  ['POST', /^visits\/([^/]+)\/check-in$/, (b, m, res, q, req) => {
    if (!req.headers['idempotency-key']) return problem(res, 422, 'platform.key_missing', '缺少幂等键', 'No key')
    checkIns++
    if (mode.turn === 'open' && mode.fail === 'write') return problem(res, 409, 'clinic.too_early', '还没到签到时间', 'Check-in is not open yet')
    mode.turn = 'waiting'
    advance(appointments.find((a) => a.id === m[1]), 'arrived')
    return [200, turnView()]
  }, true],
  ['POST', /^notices\/read-all$/, () => { for (const n of notices) n.read_at ??= new Date().toISOString(); return [204] }, true],
  ['GET', /^notice-preferences$/, () => [200, prefs, { ETag: `"${prefsMark}"` }], true],
  ['PUT', /^notice-preferences$/, (b, m, res, q, req) => {
    if (mode.prefs === 'moved') { mode.prefs = ''; prefsMark++; prefs.quiet_from = '21:30' }
    if (req.headers['if-match'] !== `"${prefsMark}"`) return problem(res, 412, 'platform.stale', '内容已更新', 'Changed meanwhile')
    Object.assign(prefs, b)
    return [200, prefs, { ETag: `"${++prefsMark}"` }]
  }, true],
  ['POST', /^notice-preferences\/mail$/, () => [202, {}], true],
  ['POST', /^notice-preferences\/mail\/confirm$/, (b, m, res) => { if (b.code !== '246810') return problem(res, 422, 'notify.code_wrong', '验证码错误', 'Wrong code'); prefs.mail_masked = 'z***@example.org'; prefsMark++; return [200, prefs] }, true],
  ['DELETE', /^notice-preferences\/mail$/, () => { prefs.mail_masked = ''; prefsMark++; return [204] }, true],
  ['GET', /^push\/key$/, () => [200, { key: 'BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM' }], true],
  ['GET', /^push\/subscriptions$/, () => [200, { items: devices }], true],
  ['POST', /^push\/subscriptions$/, (b) => { const d = { id: randomUUID(), label: b.label, created_at: new Date().toISOString() }; devices.push(d); return [201, d] }, true],
  ['DELETE', /^push\/subscriptions\/(.+)$/, (b, m) => { devices.splice(devices.findIndex((d) => d.id === m[1]), 1); return [204] }, true],
  ['GET', /^wall\/board$/, (b, m, res, q, req) => (req.headers.authorization === 'Display wall-token' ? [200, boardView()] : problem(res, 401, 'clinic.display_unknown', '显示屏未登记或已停用', 'The display is unknown'))],
  ['POST', /^auth\/codes$/, (b) => { inbox.unshift({ phone: b.phone, text: '验证码 246810，5 分钟内有效。', at: new Date().toISOString() }); return [202, { challenge_id: 'ch1', resend_after_s: 60 }] }],
  ['POST', /^auth\/sessions$/, (b, _, res) => { if (b.code !== '246810') return problem(res, 401, 'identity.code_wrong', '验证码错误', 'Wrong code'); const s = randomUUID(); sessions.add(s); return [201, me, { 'Set-Cookie': `xinglin_session=${s}; Path=/; HttpOnly; SameSite=Lax` }] }],
  ['GET', /^auth\/me$/, () => [200, me], true],
  ['GET', /^auth\/sessions$/, () => [200, { items: [{ id: 'x1', created_at: at(day(-1), '09:00'), last_seen_at: new Date().toISOString(), device: 'Chrome · Android', method: 'passkey', current: true }, { id: 'x2', created_at: at(day(-9), '09:00'), last_seen_at: at(day(-2), '20:10'), device: 'Safari · iPhone', method: 'code', current: false }] }], true],
  ['GET', /^privacy\/patients\/[^/]+\/consents$/, () => [200, { items: purposes, next: '' }], true],
  ['PUT', /^privacy\/patients\/[^/]+\/consents$/, (b) => { const c = purposes.find((x) => x.text.purpose === b.purpose); Object.assign(c, { decision: b.given ? 'given' : 'withdrawn', version: c.text.version, by: 'self', at: new Date().toISOString() }); return [200, c] }, true],
  ['GET', /^privacy\/patients\/[^/]+\/requests$/, () => [200, { items: asked, next: '' }], true],
  ['GET', /^privacy\/patients\/[^/]+\/accesses$/, () => [200, { items: mode.empty ? [] : accesses, next: '' }], true],
  ['POST', /^privacy\/patients\/[^/]+\/requests$/, (b) => { const r = { id: randomUUID(), patient_id: 'pt1', state: 'open', reason: '', answer: '', created_at: new Date().toISOString(), due_date: day(21), version: 1, ...b }; asked.unshift(r); return [201, r] }, true],
  ['GET', /^privacy\/patients\/[^/]+\/erasure$/, () => [200, { waiting: [], keeps: [{ title: { zh: '候诊与就诊', en: 'Waiting and visits' }, rows: 3, until: new Date(Date.now() + 5479 * 864e5).toISOString(), law: { zh: '互联网诊疗监管细则：诊疗记录保存不少于15年', en: 'Records are kept for at least 15 years' }, identity: true }, { title: { zh: '支付', en: 'Payments' }, rows: 4, until: new Date(Date.now() + 10957 * 864e5).toISOString(), law: { zh: '会计档案管理办法：会计凭证保存30年', en: 'Vouchers are kept for 30 years' }, identity: false }] }], true],
  ['POST', /^privacy\/requests\/([^/]+)\/cancellation$/, (b, m) => { asked.find((r) => r.id === m[1]).state = 'cancelled'; return [204] }, true],
  ['GET', /^auth\/idp$/, () => [200, { items: [{ key: 'wechat', kind: 'wechat', name: '微信登录', name_en: 'WeChat' }] }], false],
  ['GET', /^auth\/idp\/links$/, () => [200, { items: [{ id: 'l1', name: '微信登录', name_en: 'WeChat', disabled: false, created_at: at(day(-30), '09:00') }], more: [{ key: 'city', kind: 'oidc', name: '市民码', name_en: 'City code' }] }], true],
  ['GET', /^auth\/passkeys$/, () => [200, { items: passkeys }], true],
  ['DELETE', /^auth\/passkeys\/(.+)$/, (b, m, res) => { if (!proved) return problem(res, 403, 'auth.step_up', '请先再次验证身份', 'Prove once more that it is you'); passkeys = passkeys.filter((k) => k.id !== m[1]); return [204] }, true],
  ['PUT', /^auth\/passkeys\/(.+)$/, (b, m) => { passkeys.find((k) => k.id === m[1]).name = b.name; return [204] }, true],
  ['GET', /^auth\/logins$/, () => [200, { items: [{ at: new Date().toISOString(), method: 'passkey', device: 'Chrome · Android', result: 'in', current: true }, { at: at(day(-2), '20:10'), method: 'passkey', device: 'Safari · iPhone', result: 'refused', current: false }, { at: at(day(-9), '09:00'), method: 'code', device: 'Safari · iPhone', result: 'in', current: false }], next: '' }], true],
  ['POST', /^auth\/step-up\/options$/, () => [200, { methods: ['code'], phone_masked: '138****0001' }], true],
  ['POST', /^auth\/step-up\/codes$/, () => [202, { challenge_id: randomUUID(), resend_after_s: 60 }], true],
  ['POST', /^auth\/step-up$/, (b, m, res) => { if (b.code !== '246810') return problem(res, 401, 'identity.code_wrong', '验证码错误', 'Wrong code'); proved = true; return [200, { fresh_until: new Date(Date.now() + 300e3).toISOString() }] }, true],
  ['DELETE', /^auth\/sessions\/(.+)$/, (b, m) => { if (m[1] === 'current') sessions.clear(); return [204] }, true],
  ['GET', /^demo\/accounts$/, () => [200, { items: [{ kind: 'patient', label: '张晓三，本人', label_en: 'Zhang, himself', phone: '13800000001', code: '246810' }, { kind: 'patient', label: '李梅，带孩子', label_en: 'Li, with a child', phone: '13800000002', code: '246810' }, { kind: 'staff', label: '医生', username: 'doctor' }] }]],
  ['GET', /^demo\/inbox$/, () => [200, { items: inbox }]],
  ['GET', /^campuses$/, () => [200, { items: campuses }]],
  ['GET', /^departments$/, (b, m, res, q) => [200, { items: mode.empty ? [] : departments.filter((d) => !q.get('campus_id') || d.campus_id === q.get('campus_id')) }]],
  ['GET', /^organization$/, () => [200, { id: 'o1', name: '杏林示例医院', name_en: 'Xinglin Demo Hospital', licences: [{ kind: 'institution', number: '（示例）PDY000001' }] }]],
  ['GET', /^practitioners$/, (b, m, res, q) => [200, { items: mode.empty ? [] : practitioners.filter((p) => (!q.get('department_id') || p.department_id === q.get('department_id')) && (!q.get('q') || JSON.stringify(p).includes(q.get('q')))) }]],
  ['GET', /^practitioners\/(.+)$/, (b, m, res) => { const p = practitioners.find((x) => x.id === m[1]); return p ? [200, p] : problem(res, 404, 'directory.practitioner_unknown', '没有这位医生', 'No such doctor') }],
  ['GET', /^schedules$/, (b, m, res, q) => [200, { items: mode.empty ? [] : schedules.map(asReleased).filter((s) => (!q.get('practitioner_id') || s.practitioner_id === q.get('practitioner_id')) && (!q.get('department_id') || s.department_id === q.get('department_id')) && (!q.get('from') || s.date >= q.get('from')) && (!q.get('to') || s.date <= q.get('to'))) }]],
  ['GET', /^schedules\/(.+)\/slots$/, (b, m) => [200, { items: slots.get(m[1]) }]],
  ['GET', /^patients$/, () => [200, { items: mode.empty ? [] : patients }], true],
  ['POST', /^patients$/, (b, m, res) => {
    if (b.document_number.endsWith('0000')) return [202, { claim_id: 'cl1', proof: 'phone_code', phone_masked: '138****0009' }]
    if (mode.fail === 'write') return problem(res, 503, 'platform.busy', '系统繁忙，请稍后再试', 'Busy, please try again', { })
    const p = { id: randomUUID(), name: b.name, document_type: b.document_type, document_masked: '**************' + b.document_number.slice(-2), birth_date: b.birth_date ?? '2019-05-06', sex: b.sex ?? 'female', phone_masked: '', relationship: b.relationship, verified: 'none', version: 1 }
    patients.push(p)
    return [201, p]
  }, true],
  ['POST', /^patients\/claims\/(.+)\/proof$/, () => { const p = { ...patients[0], id: randomUUID(), name: '张桂兰', relationship: 'parent', verified: 'verified', verified_at: new Date().toISOString() }; patients.push(p); return [201, p] }, true],
  ['GET', /^patients\/([^/]+)$/, (b, m, res) => { const p = patients.find((x) => x.id === m[1]); return p ? [200, p] : problem(res, 404, 'patient.unknown', '没有找到', 'Not found') }, true],
  ['POST', /^patients\/(.+)\/verification$/, (b, m) => { const p = patients.find((x) => x.id === m[1]); p.verified = p.relationship === 'self' ? 'verified' : 'mismatch'; p.verified_at = new Date().toISOString(); return [200, p] }, true],
  ['DELETE', /^patients\/(.+)\/link$/, (b, m) => { patients.splice(patients.findIndex((x) => x.id === m[1]), 1); return [204] }, true],
  ['GET', /^appointments$/, (b, m, res, q) => [200, { items: mode.empty ? [] : appointments.filter((a) => !q.get('state') || a.state === q.get('state')).map(view) }], true],
  ['POST', /^appointments$/, (b, m, res, q, req) => {
    const key = req.headers['idempotency-key']
    if (!/^[0-9a-f]{8}-[0-9a-f]{4}-7/.test(key ?? '')) return problem(res, 422, 'platform.key_missing', '缺少幂等键', 'No key')
    if (keys.has(key)) return [201, view(keys.get(key)), { 'Idempotency-Hit': 'true' }]
    if (!admitted(req, res)) return
    if (mode.taken) return problem(res, 409, 'scheduling.slot_taken', '该时段刚刚被约满', 'This time has just been taken')
    const slot = b.any ? slots.get(b.schedule_id).find((s) => s.remaining > 0) : slotOf(b.slot_id)
    const s = schedules.find((x) => slots.get(x.id).includes(slot))
    if (appointments.some((a) => a.patient_id === b.patient_id && a.date === s.date && a.department_name === s.department_name && ['pending', 'booked'].includes(a.state))) return problem(res, 409, 'scheduling.limit_reached', '该就诊人当天在该科室已有预约', 'Already booked')
    if (slot.remaining <= 0) return problem(res, 409, 'scheduling.slot_taken', '该时段刚刚被约满', 'This time has just been taken')
    const a = hold(randomUUID(), b.patient_id, slot, 15)
    keys.set(key, a)
    return [201, view(a)]
  }, true],
  ['GET', /^appointments\/([^/]+)$/, (b, m, res) => { const a = appointments.find((x) => x.id === m[1]); return a ? [200, view(a)] : problem(res, 404, 'scheduling.appointment_unknown', '没有这个预约', 'No such visit') }, true],
  ['POST', /^appointments\/(.+)\/cancel$/, (b, m, res, q, req) => {
    const a = appointments.find((x) => x.id === m[1])
    if (req.headers['if-match'] !== `"${a.version}"`) return problem(res, 412, 'platform.stale', '内容已更新', 'Changed meanwhile')
    const paid = a.state === 'booked' && a.payment_id
    advance(a, 'cancelled')
    a.cancel_reason = b.reason
    a.cancellable = false
    seat(a.slot_id, 1)
    if (paid) {
      a.refund_state = 'requested'
      const r = { id: randomUUID(), amount_fen: a.fee_fen, state: 'processing', reason: 'cancelled', created_at: new Date().toISOString() }
      refunds.set(a.payment_id, [r])
      const p = payments.get(a.payment_id)
      p.state = 'refunding'
      setTimeout(() => { r.state = 'done'; r.done_at = new Date().toISOString(); p.state = 'refunded'; p.refunded_fen = p.amount_fen; a.refund_state = 'done' }, 2500)
    } else if (a.payment_id) payments.get(a.payment_id).state = 'closed'
    return [200, view(a)]
  }, true],
  ['POST', /^queue\/places$/, () => [201, place()], true],
  ['GET', /^queue\/places\/([^/]+)$/, () => [200, place()], true],
  ['POST', /^queue\/challenge$/, () => [200, { nonce: 'mock', bits: mode.door === 'work' ? 24 : 1, code_available: false }], true],
  ['POST', /^queue\/challenge\/answer$/, () => [204], true],
  ['GET', /^lotteries\/([^/]+)$/, (b, m, res) => (mode.lottery && m[1] === drawn ? [200, lotteryView()] : problem(res, 404, 'scheduling.not_found', '没有找到', 'Not found'))],
  ['GET', /^lotteries\/([^/]+)\/entries$/, () => [200, { items: entries.map(entryView), next: '' }], true],
  ['POST', /^lotteries\/([^/]+)\/entries$/, (b, m, res, q, req) => {
    if (!admitted(req, res)) return
    const known = entries.find((e) => e.patient_id === b.patient_id)
    if (known) return problem(res, 409, 'scheduling.lottery_entered', '该就诊人或该账号已报名', 'This person, or this account, has entered already')
    const e = { id: req.headers['idempotency-key'], lottery_id: drawn, patient_id: b.patient_id, slot_ids: b.slot_ids ?? [], created_at: new Date().toISOString(), receipt: { format: 'mock', lottery: drawn, commitment: hex('3'), entry: req.headers['idempotency-key'], nonce: hex('1'), person: hex('2'), group: hex('0'), wishes: b.slot_ids ?? [], signature: hex('7') } }
    entries.push(e)
    return [201, entryView(e)]
  }, true],
  ['GET', /^payments\/([^/]+)$/, (b, m, res) => { const p = payments.get(m[1]); return p ? [200, { ...p, server_time: new Date().toISOString() }] : problem(res, 404, 'payment.unknown', '没有找到', 'Not found') }, true],
  ['POST', /^payments\/(.+)\/prepay$/, (b, m) => (prepays++, [200, { pay_url: `http://127.0.0.1:${cashierPort}/pay?id=${m[1]}&back=${encodeURIComponent(`http://127.0.0.1:${port}${b.return_url}`)}`, expires_at: payments.get(m[1]).expires_at }]), true],
  ['POST', /^payments\/(.+)\/query$/, (b, m) => { const p = payments.get(m[1]); if (p.channel_paid && !mode.cold) settle(p); return [200, { ...p, server_time: new Date().toISOString() }] }, true],
  ['GET', /^payments\/(.+)\/refunds$/, (b, m) => [200, { items: refunds.get(m[1]) ?? [] }], true],
  ['GET', /^notices$/, () => [200, { items: mode.empty ? [] : notices, unread: mode.empty ? 0 : notices.filter((n) => !n.read_at).length }], true],
  ['POST', /^notices\/(.+)\/read$/, (b, m) => { notices.find((n) => n.id === m[1]).read_at = new Date().toISOString(); return [204] }, true],
]

function stream(req, res, q) {
  const ids = q.get('ids').split(',')
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
  let n = 0
  const tell = (s) => ids.includes(s.id) && res.write(`id: ${++n}\nevent: count\ndata: ${JSON.stringify({ schedule_id: s.id, remaining: s.remaining, slots: Object.fromEntries(slots.get(s.id).map((x) => [x.id, x.remaining])), at: new Date().toISOString() })}\n\n`)
  listeners.add(tell)
  for (const id of ids) tell(schedules.find((s) => s.id === id))
  const beat = setInterval(() => res.write(': beat\n\n'), 5000)
  req.on('close', () => { clearInterval(beat); listeners.delete(tell) })
}

/** The place until it is the caller's turn, which a switch brings. */
function queueStream(req, res) {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
  let told = ''
  const look = () => {
    if (told === mode.place) return
    told = mode.place
    res.write(`event: place\ndata: ${JSON.stringify(place())}\n\n`)
    if (mode.place !== 'waiting') res.end()
  }
  look()
  const timer = setInterval(look, 100)
  res.on('close', () => clearInterval(timer))
}

/** A stream that says that the line moved whenever the switch did. */
function turnStream(req, res) {
  if (mode.stream === 'off') return void res.writeHead(503).end()
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
  let told = mode.turn
  const look = () => {
    if (mode.stream === 'off') return res.end()
    if (told === mode.turn) return
    told = mode.turn
    res.write(`event: turn\ndata: {"version":${++turnVersion}}\n\n`)
  }
  res.write(': beat\n\n')
  const timer = setInterval(look, 100)
  res.on('close', () => clearInterval(timer))
}

function wallStream(req, res) {
  if (mode.stream === 'off') return void res.writeHead(503).end()
  if (req.headers.authorization !== 'Display wall-token') return problem(res, 401, 'clinic.display_unknown', '显示屏未登记或已停用', 'The display is unknown')
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
  const tell = () => res.write(`event: board\ndata: ${JSON.stringify(boardView())}\n\n`)
  walls.add(tell)
  tell()
  const timer = setInterval(() => (mode.stream === 'off' ? res.end() : mode.stream === 'silent' ? undefined : res.write(': beat\n\n')), 500)
  res.on('close', () => { clearInterval(timer); walls.delete(tell) })
}

const types = { png: 'image/png', html: 'text/html; charset=utf-8', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml', webmanifest: 'application/manifest+json' }
function file(res, path) {
  let name = path.slice(1)
  const app = name.split('/')[0]
  if (['m', 'wall'].includes(app) && (!existsSync(dist + name) || name.endsWith('/'))) {
    if (name.startsWith(`${app}/assets/`)) return void res.writeHead(404).end()
    name = `${app}/index.html`
  }
  if (!existsSync(dist + name)) return void res.writeHead(404).end()
  res.writeHead(200, { 'Content-Type': types[name.split('.').pop()] ?? 'application/octet-stream', 'Cache-Control': 'no-cache', 'Content-Security-Policy': "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'self'" })
  // Another build, for the page: a worker with other bytes.
  res.end(name === 'm/sw.js' && mode.build ? readFileSync(dist + name, 'utf8').replace("cacheName = 'xinglin-shell-", `cacheName = 'xinglin-shell-${mode.build}-`) : readFileSync(dist + name))
}

const server = createServer((req, res) => {
  const url = new URL(req.url, 'http://x')
  if (url.pathname.startsWith('/__mock/')) {
    for (const [k, v] of url.searchParams) mode[k] = v === 'true' ? true : v === 'false' ? false : k === 'delay' ? Number(v) : v
    if (url.pathname === '/__mock/reset') {
      Object.assign(mode, calm)
      entries.splice(0)
      patients.splice(1)
      notices.splice(0)
      prefs = defaults()
      board.calls.splice(0)
      board.number = 17
      checkIns = 0
      for (const a of appointments.splice(0)) if (a.state !== 'cancelled') seat(a.slot_id, 1)
    }
    if (url.pathname === '/__mock/today') return send(res, 200, visitToday())
    if (url.pathname === '/__mock/end') sessions.clear()
    if (url.pathname === '/__mock/call') callNext()
    if (url.pathname === '/__mock/counts') return send(res, 200, { checkIns, holds: keys.size, prepays })
    if (url.pathname === '/__mock/expire') for (const p of payments.values()) if (p.state === 'open') p.state = 'closed'
    return send(res, 200, mode)
  }
  if (url.pathname === '/favicon.ico') return void res.writeHead(204).end()
  if (url.pathname === '/m/queue') return void res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(readFileSync(queuePage))
  if (!url.pathname.startsWith('/api/v1/')) return url.pathname === '/' ? void res.writeHead(302, { Location: '/m/' }).end() : file(res, url.pathname)
  const path = url.pathname.slice('/api/v1/'.length)
  if (path === 'schedules/live') return stream(req, res, url.searchParams)
  if (/^visits\/.+\/turn\/events$/.test(path)) return turnStream(req, res)
  if (path === 'wall/events') return wallStream(req, res)
  if (/^queue\/places\/.+\/events$/.test(path)) return queueStream(req, res)
  let text = ''
  req.on('data', (d) => (text += d))
  req.on('end', () =>
    setTimeout(() => {
      if (mode.fail && mode.fail !== 'write' && (mode.fail === 'all' ? !known(path) : path.startsWith(mode.fail))) return mode.refuse ? problem(res, 403, 'platform.denied', '没有权限', 'Not allowed') : problem(res, 500, 'platform.internal', '系统出错', 'Internal error')
      for (const [method, pattern, handle, auth] of routes) {
        const m = path.match(pattern)
        if (!m || method !== req.method) continue
        const cookie = /xinglin_session=([^;]+)/.exec(req.headers.cookie ?? '')?.[1]
        if (auth && !sessions.has(cookie)) return problem(res, 401, 'identity.unauthenticated', '请登录', 'Log in')
        const out = handle(text ? JSON.parse(text) : {}, m, res, url.searchParams, req)
        if (Array.isArray(out)) send(res, out[0], out[1], out[2])
        return
      }
      problem(res, 404, 'platform.no_route', '没有这个接口', 'No such route')
    }, mode.slow && !known(path) ? 60_000 : mode.delay),
  )
})
server.keepAliveTimeout = 600_000 // a client that reuses a connection must not meet its end
server.listen(port, '127.0.0.1', () => console.log(`mock on http://127.0.0.1:${port}/m/`))

createServer((req, res) => {
  const url = new URL(req.url, 'http://x')
  const p = payments.get(url.searchParams.get('id'))
  if (req.method === 'POST') {
    p.channel_paid = true
    return void res.writeHead(303, { Location: url.searchParams.get('back') }).end()
  }
  res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' })
  res.end(`<!doctype html><html lang="zh-CN"><title>收银台</title><h1>模拟收银台</h1><form method="post"><button>支付成功</button></form>`)
}).listen(cashierPort, '127.0.0.1')

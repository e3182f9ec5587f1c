// A stand-in for the server as the console sees it, for looking at screens and their states while developing: everything in memory,
// nothing real. The product never uses it. `--port N`; switches under /__mock/set make states: delay (ms), fail (path prefix), empty,
// ended (the session is over), old (the last proof is), forged (an audit entry is), stale, silent (streams break and do not come back).
import { createServer } from 'node:http'
import { existsSync, readFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { auditConsistency, auditLog, auditProof, auditSearch } from './audit.mjs'

const arg = (name, fallback) => {
  const i = process.argv.indexOf(`--${name}`)
  return i > 0 ? process.argv[i + 1] : fallback
}
const port = Number(arg('port', 8091))
const dist = fileURLToPath(new URL('../../dist/', import.meta.url))
const day = (n) => new Date(Date.now() + 8 * 3600e3 + n * 86400e3).toISOString().slice(0, 10)
const at = (d, hm) => new Date(`${d}T${hm}:00+08:00`).toISOString()
const ago = (minutes) => new Date(Date.now() - minutes * 60e3).toISOString()
const uid = (n) => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`

const calm = { delay: 0, fail: '', empty: false, ended: false, stale: false, silent: false, old: false, forged: false }
const mode = { ...calm }

const roles = ['doctor', 'nurse', 'registrar', 'operator', 'privacy_officer', 'system_admin', 'security_admin', 'audit_admin']
const team = [
  ['linzhixia', '医生 林知夏', 'Doctor Lin Zhixia'],
  ['zhouhushi', '护士 周宁', 'Nurse Zhou Ning'],
  ['guahao', '挂号员 王敏', 'Registrar Wang Min'],
  ['yunying', '运营 陈舟', 'Operator Chen Zhou'],
  ['yinsi', '个人信息保护负责人 何静', 'Privacy officer He Jing'],
  ['sysadmin', '系统管理员', 'System administrator'],
  ['secadmin', '安全管理员', 'Security administrator'],
  ['auditadmin', '审计管理员', 'Audit administrator'],
]
const sessions = new Map()
let data

/** What persons asked for, and the registers. */
function privacyData() {
  const wording = { title: '本院科室间共享诊疗记录', body: '您在本院其他科室就诊时，接诊的医生和护士可以查看您以往的诊疗记录。', necessity: '避免重复检查。', effect: '查看人会多于当次接诊的科室。' }
  const request = (n, kind, more) => ({ id: uid(n), patient_id: uid(n + 1), kind, state: 'open', reason: '姓名第二个字登记错了', answer: '', created_at: ago(60 * 24 * 9), due_date: day(6), version: 1, ...more })
  const requests = [request(951, 'correct', { changes: { name: '张晓三' } }), request(953, 'erase', { reason: '', due_date: day(-1) }), request(955, 'object', { reason: '我没有在这个科室看过病', event_id: uid(957), due_date: day(12) })]
  return {
    requests, names: ['张*三', '李*', '王*芳'],
    texts: [{ purpose: 'record_sharing', version: 2, sensitive: true, zh: wording, en: { title: 'Records shared between departments', body: 'Doctors who treat you may see earlier records.', necessity: 'No repeated examinations.', effect: 'More people may look.' }, published_at: ago(90000) }],
    assessments: [{ id: uid(961), entry: { title: '智能导诊上线', processing: '主诉文本', necessity: '分诊', risks: '可能误导', measures: '人工复核', risk: 'medium', conclusion: 'allowed', review_date: day(180) }, keep_until: day(1095), version: 2, at: ago(9000) }],
    breaches: [
      { id: uid(971), entry: { title: '邮件发错收件人', what: '一封随访邮件发错收件人', measures: '已联系对方删除', severity: 'major', persons: 1, found_at: ago(90) }, authority_by: new Date(Date.now() + 150 * 60e3).toISOString(), persons_by: new Date(Date.now() + 22 * 3600e3).toISOString(), version: 1, at: ago(80) },
      { id: uid(972), entry: { title: '工作站失窃', what: '硬盘已加密', measures: '远程锁定', severity: 'general', persons: 0, found_at: ago(90000), authority_told_at: ago(89900), not_told_why: '硬盘加密', close: true }, authority_by: ago(88000), persons_by: ago(86000), closed_at: ago(60000), version: 3, at: ago(60000) },
    ],
    retained: [{ id: uid(981), patient_id: uid(982), until: new Date(Date.now() + 5479 * 86400e3).toISOString(), created_at: ago(500) }],
  }
}

/** Everything as it is at the beginning. */
function fresh() {
  const campuses = [
    { id: uid(1), name: '城东院区', name_en: 'East Campus', address: '杏林路 8 号', phone: '400-000-0000' },
    { id: uid(2), name: '滨江院区', name_en: 'Riverside Campus', address: '滨江大道 120 号', phone: '400-000-0001' },
  ]
  const dep = (n, parent_id, name, name_en, campus, location, doctor_count = 2) => ({ id: uid(n), parent_id, campus_id: uid(campus), name, name_en, location, intro: '', doctor_count })
  const departments = [
    dep(10, '', '内科', 'Internal medicine', 1, '', 0),
    dep(11, uid(10), '心血管内科', 'Cardiology', 1, '门诊楼 3 层', 3),
    dep(12, uid(10), '内分泌科', 'Endocrinology', 1, '门诊楼 3 层'),
    dep(13, '', '儿科', 'Paediatrics', 1, '儿科楼 1 层'),
    dep(14, '', '骨科', 'Orthopaedics', 2, '滨江门诊 2 层', 1),
  ]
  const doc = (n, name, title, title_en, d, specialty) => {
    const dd = departments.find((x) => x.id === uid(d))
    const c = campuses.find((x) => x.id === dd.campus_id)
    return { id: uid(n), name, title, title_en, department_id: dd.id, department_name: dd.name, campus_id: c.id, campus_name: c.name, specialty, years_of_practice: 16, licence_no: `1100000000000${n}`, version: 1 }
  }
  const practitioners = [
    doc(21, '林知夏', '副主任医师', 'Associate chief physician', 11, '高血压、冠心病、心力衰竭的长期管理'),
    doc(22, '周以宁', '主任医师', 'Chief physician', 11, '心律失常、起搏器随访'),
    doc(23, '何安', '主治医师', 'Attending physician', 11, '高血脂、胸闷心悸'),
    doc(24, '许明远', '主任医师', 'Chief physician', 12, '糖尿病、甲状腺疾病'),
    doc(25, '顾清和', '主治医师', 'Attending physician', 13, '小儿呼吸、过敏'),
    doc(26, '沈砚', '副主任医师', 'Associate chief physician', 14, '膝关节、运动损伤'),
  ]
  const schedules = []
  const slots = new Map()
  for (const p of practitioners)
    for (let n = -3; n < 12; n++) {
      if ((n + 3 + Number(p.id.slice(-2))) % 7 > 4) continue
      for (const [session, from] of [['morning', 8], ['afternoon', 14]]) {
        if (session === 'afternoon' && (n + Number(p.id.slice(-1))) % 2) continue
        const date = day(n)
        const id = uid(1000 + schedules.length)
        const hm = (m) => `${String(from + Math.floor(m / 60)).padStart(2, '0')}:${String(m % 60).padStart(2, '0')}`
        const list = []
        for (let i = 0; i < 6; i++) {
          const remaining = n < 0 ? 0 : [0, 2, 3, 1, 3, 2][(i + n) % 6]
          list.push({ id: uid(schedules.length * 10 + i + 100000), starts_at: at(date, hm(i * 30)), ends_at: at(date, hm(i * 30 + 30)), capacity: 3, remaining, state: n < 0 ? 'past' : remaining === 0 ? 'full' : remaining === 1 ? 'few' : 'free' })
        }
        slots.set(id, list)
        const remaining = list.reduce((a, s) => a + s.remaining, 0)
        schedules.push({ id, date, session, campus_id: p.campus_id, campus_name: p.campus_name, department_id: p.department_id, department_name: p.department_name, practitioner_id: p.id, practitioner_name: p.name, practitioner_title: p.title, class: p.title === '主治医师' ? 'ordinary' : 'expert', fee_fen: p.title === '主治医师' ? 1500 : 5000, starts_at: at(date, hm(0)), ends_at: at(date, hm(180)), location: `${300 + Number(p.id.slice(-2))} 诊室`, released_at: at(day(n - 7), '08:00'), state: n < 0 ? 'ended' : n === 5 && session === 'morning' ? 'stopped' : n > 8 ? 'planned' : remaining ? 'open' : 'full', lottery: false, capacity: 18, remaining, updated_at: ago(1), version: 3 })
      }
    }
  const first = schedules.find((s) => s.date === day(0) && s.practitioner_id === uid(21)) ?? schedules.find((s) => s.date === day(0))
  const names = ['张*三', '李*梅', '王*', '陈*华', '赵*', '孙*明', '周*', '吴*兰', '郑*国', '冯*', '褚*安', '卫*', '蒋*辰', '沈*']
  const turn = (i, state, more = {}) => ({ appointment_id: uid(5000 + i), number: i, number_text: `A${String(i).padStart(3, '0')}`, patient_id: uid(6000 + i), patient_name_masked: names[i % names.length], state, starts_at: at(first.date, `${String(8 + Math.floor(i / 4)).padStart(2, '0')}:${i % 2 ? '30' : '00'}`), calls: 0, late: false, position: 0, ...more })
  const turns = [
    turn(1, 'done'), turn(2, 'done'), turn(3, 'gone'), turn(4, 'missed', { calls: 2, called_at: ago(18), checked_in_at: ago(50) }), turn(5, 'done'),
    turn(6, 'called', { calls: 1, called_at: ago(6), checked_in_at: ago(40) }),
    turn(7, 'waiting', { checked_in_at: ago(35) }), turn(8, 'waiting', { checked_in_at: ago(31) }), turn(9, 'waiting', { checked_in_at: ago(20), late: true }), turn(10, 'waiting', { checked_in_at: ago(8) }),
    turn(11, 'expected'), turn(12, 'expected'), turn(13, 'expected'),
  ]
  const clinic = new Map(schedules.filter((s) => s.date === day(0)).map((s, i) => [s.id, { schedule: s, state: s.id === first.id ? 'running' : i % 3 === 1 ? 'paused' : i % 3 === 2 ? 'planned' : 'running', paused_until: i % 3 === 1 ? new Date(Date.now() + 9 * 60e3).toISOString() : undefined, pause_reason: i % 3 === 1 ? 'round' : undefined, turns: s.id === first.id ? turns : [turn(1, 'done', { appointment_id: randomUUID() }), turn(2, 'waiting', { appointment_id: randomUUID(), checked_in_at: ago(12) }), turn(3, 'expected', { appointment_id: randomUUID() })], version: 12 }]))
  const rule = (p, session, byday) => ({ id: uid(300 + Number(p.id.slice(-2)) + (session === 'morning' ? 0 : 50)), version: 2, campus_id: p.campus_id, department_id: p.department_id, practitioner_id: p.id, session, class: 'expert', seats: 18, slot_minutes: 30, fee_fen: 5000, start: session === 'morning' ? '08:00' : '14:00', end: session === 'morning' ? '11:00' : '17:00', recurrence: `FREQ=WEEKLY;BYDAY=${byday}`, from: day(-40), location: '321 诊室', remark: '' })
  const payment = (i, state, more = {}) => ({ id: uid(7000 + i), number: `REG-${day(0).replaceAll('-', '')}-${1000 + i}`, purpose: 'appointment', amount_fen: i % 2 ? 5000 : 1500, refunded_fen: state === 'refunded' ? (i % 2 ? 5000 : 1500) : 0, pending_fen: state === 'refunding' ? 5000 : 0, state, channel: i % 3 ? 'wechat' : 'cash', created_at: ago(i * 47 + 5), ...(state !== 'open' && state !== 'closed' ? { paid_at: ago(i * 47 + 2) } : {}), ...more })
  const payments = ['paid', 'paid', 'refunding', 'refunded', 'open', 'closed', 'paid', 'paid', 'paid', 'refunded'].map((s, i) => payment(i + 1, s))
  const refund = (i, state, more = {}) => ({ id: uid(7500 + i), payment_id: payments[i].id, number: payments[i].number, amount_fen: payments[i].amount_fen, reason: ['cancelled', 'stopped', 'staff', 'duplicate'][i % 4], state, channel: 'wechat', at: ago(60 * i + 9), ...(state === 'done' ? { done_at: ago(60 * i) } : {}), ...more })
  const refunds = [refund(2, 'requested', { channel: 'cash' }), refund(3, 'done'), refund(6, 'failed', { why: 'payment.channel_refused' }), refund(7, 'processing'), refund(9, 'done')]
  const mega = 1024 * 1024
  const imports = [
    { id: uid(801), kind: 'rota', name: 'rota-2026-12.xlsx', state: 'refused', dry_run: true, bytes: 482133, read_bytes: 482133, started_at: ago(12), ended_at: ago(11), report: { rota: { rows: 2000, error_count: 4, errors: [{ line: 17, column: 'doctor', reason_zh: '没有这位医生', reason_en: 'no such doctor' }, { line: 204, column: 'start', reason_zh: '时间不对：25:00', reason_en: 'no such time: 25:00' }, { line: 377, column: '', reason_zh: '与第 376 行时间重叠', reason_en: 'overlaps with line 376' }, { line: 1201, column: 'fee', reason_zh: '挂号费为负数', reason_en: 'the fee is negative' }] } } },
    { id: uid(802), kind: 'fhir', name: 'synthea-bundle-2026.ndjson.gz', state: 'running', dry_run: false, bytes: 96 * mega, read_bytes: 31 * mega, started_at: ago(1) },
    { id: uid(803), kind: 'icd10', name: 'icd10.csv', state: 'done', dry_run: false, bytes: 2 * mega, read_bytes: 2 * mega, started_at: ago(1440), ended_at: ago(1439), report: { icd10: { rows: 34201, new: 34201, refused: [], refused_count: 0 } } },
  ]
  return {
    campuses, departments, practitioners, schedules, slots, first: first.id, clinic, payments, refunds, imports,
    rotas: practitioners.slice(0, 4).flatMap((p) => [rule(p, 'morning', 'MO,WE,FR'), rule(p, 'afternoon', 'TU,TH')]),
    rules: rules(), privacy: privacyData(), displays: [{ id: uid(901), name: '门诊楼 3 层东走廊', campus_id: uid(1), department_ids: [uid(11), uid(12)], created_at: ago(9000), last_seen_at: ago(0), expires_at: new Date(Date.now() + 60 * 86400e3).toISOString() }],
    staff: team.map(([username, name], i) => ({ id: uid(400 + i), username, name, state: 'active', grants: [{ role: roles[i] }], version: 1, created_at: ago(90000), last_login_at: ago(30 * (i + 1)) })).concat([{ id: uid(420), username: 'heyan', name: '何砚', state: 'disabled', grants: [], version: 3, created_at: ago(200000) }]),
    letters: [{ id: randomUUID(), context: 'notify', source: 'job', kind: 'notify.send_sms', attempts: 12, error: 'sms.unreachable', number: 'REG-20261130-1007', trace: '4bf92f3577b34da6a3ce929d0e0e4736', at: ago(25) }, { id: randomUUID(), context: 'scheduling', source: 'inbox', kind: 'payment.paid.v1', attempts: 8, error: 'db.busy', number: 'REG-20261130-1003', trace: '5bf92f3577b34da6a3ce929d0e0e4737', at: ago(190) }],
    jobs: [{ id: randomUUID(), context: 'payment', kind: 'payment.refund', key: '01900000', state: 'dead', run_at: ago(40), attempts: 12, max: 12, error: 'wechatpay.unreachable', number: 'REG-20261130-1007' }, { id: randomUUID(), context: 'scheduling', kind: 'scheduling.extend_rota', key: 'daily', state: 'waiting', run_at: new Date(Date.now() + 3600e3).toISOString(), attempts: 0, max: 5, error: '', number: '' }],
    deliveries: [{ id: uid(951), channel: 'sms', template: 'scheduling.booked', state: 'sent', why: '', created_at: ago(15), sent_at: ago(15) }, { id: uid(952), channel: 'sms', template: 'scheduling.stopped', state: 'failed', why: 'gave_up', created_at: ago(22) }, { id: uid(953), channel: 'mail', template: 'scheduling.reminder', state: 'queued', why: '', created_at: ago(2) }],
    clients: [{ id: uid(951), name: '随访系统', name_en: 'Follow-up', accounts: 'patient', grants: ['authorization_code', 'refresh_token'], scopes: ['openid', 'phone', 'offline_access'], redirect_uris: ['https://followup.example.com/cb'], logout_uris: ['https://followup.example.com/bye'], state: 'active', version: 3, created_at: ago(90000) }, { id: uid(952), name: '检验科 LIS', accounts: 'staff', first_party: true, grants: ['authorization_code'], scopes: ['openid', 'profile', 'roles'], redirect_uris: ['https://lis.example.com/login/cb'], state: 'active', version: 1, created_at: ago(50000) }, { id: uid(953), name: '旧走廊屏', accounts: 'staff', public: true, grants: ['urn:ietf:params:oauth:grant-type:device_code'], scopes: ['openid'], state: 'disabled', version: 5, created_at: ago(400000) }],
    signingKeys: [{ id: 'k-2026-10', state: 'retired', created_at: ago(90000), signs_at: ago(88000) }, { id: 'k-2026-11', state: 'signing', created_at: ago(45000), signs_at: ago(43000) }],
    audit: Array.from({ length: 12 }, (_, i) => ({ id: uid(970 + i), at: ago(i * 7 + 1), context: ['identity', 'scheduling', 'payment', 'clinic'][i % 4], actor: `staff:${uid(400 + (i % 7))}`, action: ['identity.login_staff', 'scheduling.cancel', 'payment.refund', 'clinic.reveal'][i % 4], noun: ['Session', 'Appointment', 'Payment', 'Turn'][i % 4], object: uid(5000 + i), policy: 'scheduling.desk', why: i % 4 === 1 ? '患者来电取消' : '', changed: i % 4 === 1 ? { state: ['booked', 'cancelled'] } : {}, origin: '10.0.0.7', trace: '4bf92f3577b34da6a3ce929d0e0e4736', number: 'REG-20261130-1007' })),
    people: [{ id: uid(6100), name_masked: '张*远', birth: '1985-03-07', sex: 'male', document_masked: '**************1231', phone_masked: '138****0001', verified: 'verified' }, { id: uid(6101), name_masked: '李*芳', birth: '1956-04-12', sex: 'female', document_masked: '**************8764', phone_masked: '138****0002', verified: 'none' }],
    claims: [
      { id: uid(6201), name_masked: '王*英', document_type: 'resident_id', document_masked: '110****26', relationship: 'parent', phone_last4: '0007', proof: 'desk', name_matches: true, state: 'open', asked_at: ago(2), ends_at: ago(2 - 7 * 1440) },
      { id: uid(6202), name_masked: '赵*', document_type: 'passport', document_masked: 'E76****21', relationship: 'self', phone_last4: '', proof: 'desk', name_matches: false, state: 'open', asked_at: ago(5), ends_at: ago(5 - 7 * 1440) },
      { id: uid(6203), name_masked: '刘*涛', document_type: 'resident_id', document_masked: '320****1X', relationship: 'spouse', phone_last4: '4416', proof: 'phone_code', name_matches: true, state: 'open', asked_at: ago(9), ends_at: ago(-6) },
    ],
    appointments: [], accountSessions: [{ id: randomUUID(), created_at: ago(600), last_seen_at: ago(0), device: 'Chrome · Windows', method: 'password', current: true }, { id: randomUUID(), created_at: ago(9000), last_seen_at: ago(2000), device: 'Edge · Windows', method: 'passkey', current: false }], passkeys: [{ id: uid(990), name: '诊室电脑', host: 'hospital.example', synced: false, blocked: false, created_at: ago(50000), used_at: ago(30) }, { id: uid(991), name: '旧安全密钥', host: 'hospital.example', synced: false, blocked: true, created_at: ago(500000) }, { id: uid(992), name: '我的手机', host: 'hospital.example', synced: true, blocked: false, created_at: ago(9000) }], stops: new Map(),
  }
}
function rules() {
  const values = { preset: 'standard', release: 420, first_day: 0, last_day: 14, pauses: [{ from: 1410, to: 1440 }], hold_minutes: 15, cancel: { kind: 'day_before', at: 1320, expert_minutes: 0, ordinary_minutes: 0 }, seat_return: { kind: 'at_once', min: 0, max: 0 }, limit: { per: 'patient', doctor: false, session: false }, caps: [{ days: 7, max: 4 }], age: { kind: 'refuse_under', border: 14 }, no_show: { count: 3, months: 3, block: 90, calendar: false, same_day: false }, returns: [], late_minutes: 15 }
  return { version: 3, values, presets: [{ name: 'standard', title: '三级综合医院', title_en: 'General hospital', values }, { name: 'clinic', title: '社区门诊', title_en: 'Community clinic', values: { ...values, preset: 'clinic', last_day: 7, hold_minutes: 30, release: 360 } }] }
}
data = fresh()

const problem = (res, status, code, title, title_en, extra = {}) =>
  send(res, status, { type: 'about:blank', title, title_en, status, code, trace_id: '4bf92f3577b34da6a3ce929d0e0e4736', ...extra }, { 'Content-Type': 'application/problem+json' })
function send(res, status, body, headers = {}) {
  res.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers })
  res.end(body === undefined ? undefined : JSON.stringify(body))
}
const items = (list) => [200, { items: mode.empty ? [] : list, next: '' }]
const view = (c) => {
  const s = c.schedule
  const count = (state) => c.turns.filter((t) => t.state === state).length
  return { schedule_id: s.id, date: s.date, session: s.session, starts_at: s.starts_at, ends_at: s.ends_at, campus_id: s.campus_id, campus_name: s.campus_name, department_id: s.department_id, department_name: s.department_name, practitioner_id: s.practitioner_id, practitioner_name: s.practitioner_name, location: s.location, state: c.state, paused_until: c.paused_until, pause_reason: c.pause_reason, expected: count('expected'), waiting: count('waiting'), missed: count('missed'), done: count('done'), current: c.turns.find((t) => t.state === 'called') ?? null, version: c.version }
}
const queue = (c) => {
  let n = 0
  const list = c.turns.map((t) => ({ ...t, position: t.state === 'waiting' ? ++n : 0 }))
  return { session: view({ ...c, turns: list }), items: mode.empty ? [] : list, server_time: new Date().toISOString() }
}
const listeners = new Set()
const streams = new Set()
function changed(c) {
  c.version++
  for (const l of listeners) l(c)
}
const lineOf = (appointment) => [...data.clinic.values()].find((c) => c.turns.some((t) => t.appointment_id === appointment))
function act(appointment, f, res) {
  const c = lineOf(appointment)
  if (!c) return problem(res, 404, 'clinic.not_found', '没有找到', 'Not found')
  f(c.turns.find((t) => t.appointment_id === appointment), c)
  changed(c)
  return [200, queue(c)]
}
const bookable = (s, slot, patient) => {
  slot.remaining--
  s.remaining--
  const p = { id: randomUUID(), number: `REG-${day(0).replaceAll('-', '')}-${2000 + data.appointments.length}`, purpose: 'appointment', amount_fen: s.fee_fen, refunded_fen: 0, pending_fen: 0, state: 'open', channel: '', created_at: new Date().toISOString(), expires_at: new Date(Date.now() + 15 * 60e3).toISOString(), version: 1 }
  data.payments.unshift(p)
  const who = data.people.find((x) => x.id === patient)
  const a = { id: randomUUID(), number: null, number_text: '', reg_no: p.number, patient_id: patient, patient_name_masked: who?.name_masked ?? '张*', schedule_id: s.id, slot_id: slot.id, date: s.date, session: s.session, starts_at: slot.starts_at, ends_at: slot.ends_at, department_id: s.department_id, department_name: s.department_name, practitioner_id: s.practitioner_id, practitioner_name: s.practitioner_name, practitioner_title: s.practitioner_title, campus_name: s.campus_name, location: s.location, class: s.class, fee_fen: s.fee_fen, state: 'pending', cancellable: true, version: 1, created_at: new Date().toISOString(), server_time: new Date().toISOString(), payment_id: p.id, payment_state: 'open', hold_expires_at: p.expires_at }
  data.appointments.unshift(a)
  return a
}
function settle(p, channel) {
  p.state = 'paid'
  p.channel = channel
  p.paid_at = new Date().toISOString()
  const a = data.appointments.find((x) => x.payment_id === p.id)
  if (a) Object.assign(a, { state: 'booked', payment_state: 'paid', number: 19, number_text: 'A019', version: 2 })
}
const booked = (s) => Array.from({ length: 5 }, (_, i) => ({ ...bookedBody(s), id: uid(5200 + i), number: i + 1, number_text: `A00${i + 1}`, patient_name_masked: ['张*三', '李*', '王*芳', '陈*', '赵*'][i], state: i === 4 ? 'pending' : 'booked' }))
const bookedBody = (s) => ({ number: null, number_text: '', reg_no: 'REG-20261130-1001', patient_id: uid(6001), schedule_id: s.id, slot_id: data.slots.get(s.id)[0].id, date: s.date, session: s.session, starts_at: s.starts_at, ends_at: s.ends_at, department_id: s.department_id, department_name: s.department_name, practitioner_id: s.practitioner_id, practitioner_name: s.practitioner_name, practitioner_title: s.practitioner_title, campus_name: s.campus_name, location: s.location, class: s.class, fee_fen: s.fee_fen, cancellable: true, version: 1, created_at: ago(3000), server_time: new Date().toISOString() })
// A rota with a leave: what it stops, and what becomes of it with consent and without.
const endOf = (i) => ({ state: i.kind === 'rota' && !i.dry_run && !i.stop_visits ? 'refused' : 'done' })
const rotaReport = (i) => {
  const stops = data.schedules.filter((s) => s.practitioner_id === uid(21) && s.date > day(0)).slice(0, 5).map((s, k) => ({ date: s.date, session: s.session, department_name: s.department_name, practitioner_name: s.practitioner_name, visits: [12, 7, 3, 0, 0][k] }))
  const refused = endOf(i).state === 'refused'
  return { encoding: 'xlsx', rows: 2000, skipped: [], ...(refused ? {} : { rules: { new: 0, changed: 3, same: 1988 }, exceptions: { new: 2, changed: 0, same: 7 }, schedules: { new: 14, changed: 6, same: 1320 } }), errors: [], error_count: 0, stops, stop_count: stops.length, stop_visits: stops.reduce((n, s) => n + s.visits, 0) }
}
const accessActions = [
  ['audit.list_events', '查看审计记录', 'The audit trail, newest first'], ['clinic.call_next', '叫下一位', 'Finish who is being seen and call the next one', 'Line'],
  ['clinic.list_sessions', '查看当日门诊列表', 'Waiting lines of a day'], ['patient.search_at_desk', '在窗口查找就诊人', 'Find persons exactly, by document, by phone, or by name and birth'],
].map(([id, zh, en, noun]) => ({ id, context: id.split('.')[0], words: { zh, en }, ...(noun ? { noun } : {}) }))
/** The doctor of the first session may call there; nobody else of the team who is no nurse. */
const explain = (res, q) => {
  const who = data.staff.find((s) => s.id === q.get('account_id'))
  const action = accessActions.find((a) => a.id === q.get('action'))
  if (!who) return problem(res, 404, 'identity.not_found', '没有这个账号', 'There is no such account')
  if (action.noun && !data.clinic.has(q.get('resource_id'))) return problem(res, 404, 'clinic.not_found', '没有找到', 'Not found')
  const policy = (id, zh, en, role, forbids = false) => ({ id, forbids, words: { zh, en }, text: `@id("${id}")\n${forbids ? 'forbid' : 'permit'} (\n    principal is Staff,\n    action == Action::"${action.id}",\n    resource\n)\nwhen { principal.roles.contains("${role}")${role === 'doctor' ? ' && resource.own' : ''} };` })
  const own = (holds) => ({ name: 'own', words: { zh: '是本人出诊的班次', en: 'It is the own session' }, holds })
  const line = policy('clinic.own_line', '医生处理自己出诊的候诊队列', 'A doctor works on the own line', 'doctor')
  const nurse = policy('clinic.nurse', '分诊护士处理候诊队列', 'The nurse at the waiting area works on the line', 'nurse')
  const role = who.grants[0]?.role
  const allowed = action.id === 'clinic.call_next' ? role === 'doctor' || role === 'nurse' : role === 'audit_admin'
  return [200, {
    action, allowed: allowed && who.state === 'active', disabled: who.state !== 'active', roles: who.grants.map((g) => ({ ...g, counts: true })),
    facts: action.noun ? [own(role === 'doctor')] : [],
    policies: allowed ? [role === 'nurse' ? nurse : role === 'doctor' ? line : policy('audit.administrator', '审计管理员查看审计记录', 'The audit administrator reads the trail', 'audit_admin')] : role?.endsWith('_admin') ? [policy('clinic.no_administrator', '三类管理员不接触候诊队列', 'No administrator sees or changes waiting lines', 'audit_admin', true)] : [],
    needs: allowed ? [] : role?.endsWith('_admin') ? [{ policies: [nurse], role: 'nurse', instead: true, facts: [] }] : action.noun ? [{ policies: [nurse], role: 'nurse', facts: [] }, { policies: [line], role: 'doctor', facts: [own(true)] }] : [{ policies: [policy('audit.administrator', '审计管理员查看审计记录', 'The audit administrator reads the trail', 'audit_admin')], role: 'audit_admin', facts: [] }],
  }]
}
const scheduleOf = (id) => data.schedules.find((s) => s.id === id)
const versioned = (req, current) => req.headers['if-match'] === `"${current}"`
const staleAnswer = (res) => problem(res, 412, 'platform.stale', '内容已更新', 'Changed meanwhile')
const meOf = (username) => {
  const i = team.findIndex((x) => x[0] === username)
  const every = username === 'chief'
  return { account_id: uid(400 + Math.max(0, i)), kind: 'staff', phone_masked: '', name: every ? '院长 总值班' : team[i][1], roles: every ? roles.map((role) => ({ role })) : [{ role: roles[i] }], session_id: 'x1', factors: 2, demo: true }
}

// method, path, handler(body, match, res, query, req, me); all but the first three need a session.
const routes = [
  ['POST', /^auth\/staff\/sessions$/, (b, m, res) => {
    if (b.password !== 'demo' || b.totp !== '123456' || !(b.username === 'chief' || team.some((x) => x[0] === b.username))) return problem(res, 401, 'identity.login_refused', '用户名、密码或动态口令不对', 'User name, password or code is wrong')
    const s = randomUUID()
    sessions.set(s, b.username)
    mode.ended = false
    return [201, meOf(b.username), { 'Set-Cookie': `xinglin_session=${s}; Path=/; HttpOnly; SameSite=Lax` }]
  }, false],
  ['GET', /^demo\/accounts$/, () => [200, { items: team.map(([username, label, label_en]) => ({ kind: 'staff', label, label_en, username, password: 'demo', totp: '123456' })), next: '' }], false],
  ['GET', /^auth\/me$/, (b, m, res, q, req, me) => [200, me]],
  ['GET', /^auth\/sessions$/, () => items(data.accountSessions)],
  ['GET', /^auth\/idp$/, () => items([{ key: 'group', kind: 'oidc', name: '集团统一登录', name_en: 'Group sign-in' }]), false],
  ['GET', /^auth\/idp\/links$/, () => [200, { items: [{ id: uid(995), name: '集团统一登录', name_en: 'Group sign-in', disabled: false, created_at: ago(90000), used_at: ago(60) }], more: [{ key: 'city', kind: 'oidc', name: '市医联体登录', name_en: 'City alliance' }] }]],
  ['GET', /^auth\/passkeys$/, () => items(data.passkeys)],
  ['PUT', /^auth\/passkeys\/(.+)$/, (b, m) => { data.passkeys.find((k) => k.id === m[1]).name = b.name; return [204] }],
  ['DELETE', /^auth\/passkeys\/(.+)$/, (b, m) => { data.passkeys = data.passkeys.filter((k) => k.id !== m[1]); return [204] }],
  ['GET', /^auth\/logins$/, () => items([{ at: ago(3), method: 'password', device: 'Chrome · Windows', result: 'in', current: true }, { at: ago(5), method: 'password', device: 'Chrome · Windows', result: 'refused', current: false }, { at: ago(9000), method: 'passkey', device: 'Edge · Windows', result: 'in', ended_at: ago(8000), current: false }])],
  ['POST', /^auth\/step-up\/options$/, () => [200, { methods: ['totp'] }]],
  ['POST', /^auth\/step-up$/, (b, m, res) => { if (b.totp !== '123456') return problem(res, 401, 'identity.step_up_wrong', '动态码不正确', 'The code is not correct'); mode.old = false; return [200, { fresh_until: ago(-5) }] }],
  ['POST', /^auth\/totp\/options$/, () => [201, { handle: 'h', totp_secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP', totp_uri: 'otpauth://totp/Xinglin:chief?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Xinglin' }]],
  ['POST', /^auth\/totp$/, (b, m, res) => (b.totp === '123456' ? [204] : problem(res, 422, 'identity.totp_wrong', '新动态码不正确，请核对后重试', 'The code of the new key is not correct, check it and try again'))],
  ['DELETE', /^auth\/sessions\/(.+)$/, (b, m, res, q, req) => { if (m[1] === 'current') sessions.delete(cookie(req)); else data.accountSessions = data.accountSessions.filter((s) => s.id !== m[1]); return [204] }],

  ['GET', /^organization$/, () => [200, { id: uid(0), name: '杏林示例医院', name_en: 'Xinglin Demo Hospital', licences: [{ kind: 'institution', number: '（示例）PDY000001', authority: '示例市卫生健康委', valid_from: '2024-01-01', valid_to: '2029-12-31' }, { kind: 'internet', number: '（示例）WLW000001', authority: '示例市卫生健康委', valid_from: '2024-01-01', valid_to: '2026-12-20' }] }]],
  ['GET', /^campuses$/, () => items(data.campuses)],
  ['POST', /^campuses$/, (b) => { const c = { id: randomUUID(), name_en: '', address: '', phone: '', ...b }; data.campuses.push(c); return [201, c] }],
  ['GET', /^departments$/, (b, m, res, q) => items(data.departments.filter((d) => !q.get('campus_id') || d.campus_id === q.get('campus_id')))],
  ['POST', /^departments$/, (b) => { const d = { id: randomUUID(), parent_id: '', name_en: '', location: '', intro: '', doctor_count: 0, ...b }; data.departments.push(d); return [201, d] }],
  ['GET', /^practitioners$/, (b, m, res, q) => items(data.practitioners.filter((p) => (!q.get('department_id') || p.department_id === q.get('department_id')) && (!q.get('campus_id') || p.campus_id === q.get('campus_id')) && (!q.get('q') || JSON.stringify(p).includes(q.get('q')))))],
  ['POST', /^practitioners$/, (b) => { const d = data.departments.find((x) => x.id === b.department_id); const p = { id: randomUUID(), title_en: '', department_name: d.name, campus_id: d.campus_id, campus_name: '城东院区', specialty: '', years_of_practice: 1, version: 1, ...b }; data.practitioners.push(p); return [201, p] }],
  ['GET', /^practitioners\/([^/]+)$/, (b, m, res) => { const p = data.practitioners.find((x) => x.id === m[1]); return p ? [200, p] : problem(res, 404, 'directory.not_found', '没有找到', 'Not found') }],
  ['PUT', /^practitioners\/([^/]+)$/, (b, m, res, q, req) => { const p = data.practitioners.find((x) => x.id === m[1]); if (!versioned(req, p.version)) return staleAnswer(res); Object.assign(p, b, { version: p.version + 1 }); return [200, p] }],

  ['GET', /^schedules$/, (b, m, res, q) => items(data.schedules.filter((s) => (!q.get('department_id') || s.department_id === q.get('department_id')) && (!q.get('practitioner_id') || s.practitioner_id === q.get('practitioner_id')) && (!q.get('from') || s.date >= q.get('from')) && (!q.get('to') || s.date <= q.get('to'))))],
  ['GET', /^schedules\/([^/]+)\/slots$/, (b, m) => items(data.slots.get(m[1]) ?? [])],
  ['GET', /^schedules\/([^/]+)\/appointments$/, (b, m) => items(booked(scheduleOf(m[1])))],
  ['POST', /^schedules\/([^/]+)\/stop$/, (b, m, res, q, req) => {
    const s = scheduleOf(m[1])
    if (mode.stale || !versioned(req, s.version)) return staleAnswer(res)
    s.state = 'stopped'
    s.version++
    data.stops.set(s.id, { stopped_at: Date.now(), affected: 5 })
    return [200, { schedule: s, affected: 5, refund_fen: 4 * s.fee_fen }]
  }],
  ['GET', /^schedules\/([^/]+)\/stop$/, (b, m) => { const s = data.stops.get(m[1]) ?? { stopped_at: Date.now() - 864e5, affected: 5 }; const cancelled = Math.min(s.affected, Math.floor((Date.now() - s.stopped_at) / 600)); return [200, { stopped_at: new Date(s.stopped_at).toISOString(), affected: s.affected, cancelled, pending: s.affected - cancelled }] }],
  ['POST', /^schedules\/([^/]+)\/resume$/, (b, m, res, q, req) => { const s = scheduleOf(m[1]); if (!versioned(req, s.version)) return staleAnswer(res); s.state = 'open'; s.version++; return [200, s] }],
  ['GET', /^rotas$/, (b, m, res, q) => items(data.rotas.filter((r) => (!q.get('department_id') || r.department_id === q.get('department_id')) && (!q.get('practitioner_id') || r.practitioner_id === q.get('practitioner_id'))))],
  ['POST', /^rotas\/preview$/, (b) => [200, { items: Array.from({ length: 6 }, (_, i) => ({ date: day(i * 2 + 1), session: b.rule.session, starts_at: at(day(i * 2 + 1), b.rule.start), ends_at: at(day(i * 2 + 1), b.rule.end), seats: b.rule.seats, slots: Array.from({ length: 3 }, (_, k) => ({ starts_at: at(day(i * 2 + 1), b.rule.start), ends_at: at(day(i * 2 + 1), b.rule.end), first: k * 6 + 1, capacity: 6 })) })), conflicts: b.id ? [] : [{ date: day(3), session: b.rule.session }], drops: b.id ? [{ schedule_id: uid(1001), date: day(4), session: b.rule.session, visits: 3 }, { schedule_id: uid(1002), date: day(6), session: b.rule.session, visits: 0 }] : [], drop_count: b.id ? 5 : 0, drop_kept: b.id ? 1 : 0 }]],
  ['POST', /^rotas$/, (b) => { const r = { id: randomUUID(), version: 1, ...b }; data.rotas.push(r); return [201, r] }],
  ['PUT', /^rotas\/([^/]+)$/, (b, m, res, q, req) => { const r = data.rotas.find((x) => x.id === m[1]); if (!versioned(req, r.version)) return staleAnswer(res); Object.assign(r, b, { version: r.version + 1 }); return [200, r] }],
  ['GET', /^booking-rules$/, () => [200, data.rules]],
  ['PUT', /^booking-rules$/, (b, m, res, q, req) => { if (!versioned(req, data.rules.version)) return staleAnswer(res); data.rules = { ...data.rules, version: data.rules.version + 1, values: b.values ?? data.rules.presets.find((p) => p.name === b.preset).values }; return [200, data.rules] }],
  ['GET', /^appointments\/([^/]+)$/, (b, m, res) => { const a = data.appointments.find((x) => x.id === m[1]); return a ? [200, a] : problem(res, 404, 'scheduling.not_found', '没有找到', 'Not found') }],
  ['POST', /^appointments\/([^/]+)\/cancel$/, (b, m, res) => { const a = data.appointments.find((x) => x.id === m[1]); if (!a) return problem(res, 404, 'scheduling.not_found', '没有找到', 'Not found'); a.state = 'cancelled'; a.version++; return [200, a] }],

  ['GET', /^clinic\/sessions$/, (b, m, res, q) => items([...data.clinic.values()].map(view).filter((s) => s.date === q.get('date') && (!q.get('campus_id') || s.campus_id === q.get('campus_id')) && (!q.get('department_id') || s.department_id === q.get('department_id'))))],
  ['GET', /^clinic\/sessions\/([^/]+)\/queue$/, (b, m, res) => { const c = data.clinic.get(m[1]); return c ? [200, queue(c)] : problem(res, 404, 'clinic.not_found', '没有找到', 'Not found') }],
  ['POST', /^clinic\/sessions\/([^/]+)\/call-next$/, (b, m, res) => {
    const c = data.clinic.get(m[1])
    if (mode.stale || b.version !== c.version) return problem(res, 409, 'clinic.stale', '队列刚刚有变化，请看过再叫', 'The line has just changed; look at it and call again')
    const next = c.turns.find((t) => t.state === 'waiting')
    if (!next) return problem(res, 409, 'clinic.nobody_waiting', '没有人在候诊', 'Nobody is waiting')
    for (const t of c.turns) if (t.state === 'called') t.state = 'done'
    Object.assign(next, { state: 'called', calls: 1, called_at: new Date().toISOString() })
    c.state = 'running'
    changed(c)
    return [200, queue(c)]
  }],
  ['POST', /^clinic\/sessions\/([^/]+)\/pause$/, (b, m) => { const c = data.clinic.get(m[1]); Object.assign(c, { state: 'paused', paused_until: new Date(Date.now() + b.minutes * 60e3).toISOString(), pause_reason: b.reason }); changed(c); return [200, queue(c)] }],
  ['POST', /^clinic\/sessions\/([^/]+)\/resume$/, (b, m) => { const c = data.clinic.get(m[1]); Object.assign(c, { state: 'running', paused_until: undefined, pause_reason: undefined }); changed(c); return [200, queue(c)] }],
  ['POST', /^clinic\/turns\/([^/]+)\/check-in$/, (b, m, res) => act(m[1], (t) => Object.assign(t, { state: 'waiting', checked_in_at: new Date().toISOString() }), res)],
  ['POST', /^clinic\/turns\/([^/]+)\/recall$/, (b, m, res) => act(m[1], (t) => { if (t.state === 'called') t.calls++; else t.state = 'waiting' }, res)],
  ['POST', /^clinic\/turns\/([^/]+)\/skip$/, (b, m, res) => act(m[1], (t) => (t.state = 'missed'), res)],
  ['POST', /^clinic\/turns\/([^/]+)\/done$/, (b, m, res) => act(m[1], (t) => (t.state = 'done'), res)],
  ['POST', /^clinic\/turns\/([^/]+)\/reveal$/, () => [200, { name: '张晓三', sex: 'male', birth: '1968-03-02' }]],
  ['GET', /^privacy\/requests$/, (b, m, res, q) => items(data.privacy.requests.filter((r) => (r.state === 'open') === (q.get('ended') !== 'true')).map((r, i) => ({ id: r.id, name_masked: data.privacy.names[i] ?? '', kind: r.kind, state: r.state, by: 'self', created_at: r.created_at, due_date: r.due_date, overdue: r.due_date < day(0), version: r.version })))],
  ['GET', /^privacy\/requests\/([^/]+)$/, (b, m, res) => { const r = data.privacy.requests.find((x) => x.id === m[1]); return r ? [200, { request: r, person: { name: '张小三', document_type: 'resident_id', document_masked: '110****1X', birth_date: '1990-03-07', sex: 'male' }, ...(r.kind === 'object' ? { access: { id: uid(957), at: ago(60 * 30), by: 'staff', name: '李四', roles: ['doctor'], action: 'patient.read', called: { zh: '查看就诊人', en: 'See a person' }, policy: { zh: '接诊医生查看就诊人', en: 'The treating doctor sees the person' }, why: '' } } : {}) }] : problem(res, 404, 'privacy.not_found', '没有找到', 'Not found') }],
  ['POST', /^privacy\/requests\/([^/]+)\/decision$/, (b, m) => { const r = data.privacy.requests.find((x) => x.id === m[1]); Object.assign(r, { state: b.accept ? (r.kind === 'erase' ? 'working' : 'done') : 'refused', answer: b.note ?? '', version: r.version + 1 }); return [200, r] }],
  ['GET', /^privacy\/texts$/, () => items(data.privacy.texts)],
  ['POST', /^privacy\/texts$/, (b) => { const { after, ...t } = b; const v = { ...t, version: after + 1, sensitive: b.purpose !== 'marketing', published_at: new Date().toISOString() }; data.privacy.texts = [...data.privacy.texts.filter((x) => x.purpose !== b.purpose), v]; return [201, v] }],
  ['GET', /^privacy\/assessments$/, () => items(data.privacy.assessments)],
  ['GET', /^privacy\/breaches$/, () => items(data.privacy.breaches)],
  ['GET', /^privacy\/retained$/, () => items(data.privacy.retained)],
  ['POST', /^privacy\/retained\/(.+)\/opening$/, () => [200, { name: '张小三', document_type: 'resident_id', document_number: '110105199003071234', birth_date: '1990-03-07', sex: 'male' }]],
  ['GET', /^clinic\/displays$/, () => items(data.displays)],
  ['POST', /^clinic\/displays$/, (b) => { const d = { id: randomUUID(), created_at: new Date().toISOString(), expires_at: new Date(Date.now() + 90 * 86400e3).toISOString(), ...b }; data.displays.push(d); return [201, { ...d, token: 'dsp_4t7k2m9x8w3v6q5z1n0b' }] }],
  ['DELETE', /^clinic\/displays\/(.+)$/, (b, m) => { data.displays = data.displays.filter((d) => d.id !== m[1]); return [204] }],

  ['POST', /^desk\/patients\/search$/, (b) => items(data.people.filter((p) => b.name !== '没有' && (!b.phone || p.phone_masked.endsWith(b.phone.slice(-4))) && (!b.document || p.document_masked.endsWith(b.document.slice(-4)))))],
  ['POST', /^desk\/patients$/, (b) => { const p = { id: randomUUID(), name_masked: `${b.name.slice(0, 1)}*`, birth: b.birth || '1990-01-01', sex: b.sex || 'unknown', document_masked: `**************${b.document.slice(-4)}`, phone_masked: b.phone ? `${b.phone.slice(0, 3)}****${b.phone.slice(-4)}` : '', verified: 'none' }; data.people.unshift(p); return [201, p] }],
  ['GET', /^desk\/appointments$/, (b, m, res, q) => items(data.appointments.filter((a) => a.patient_id === q.get('patient_id')))],
  ['POST', /^desk\/appointments$/, (b, m, res) => {
    if (!b.any) for (const [id, list] of data.slots) { const slot = list.find((x) => x.id === b.slot_id); if (slot) return slot.remaining > 0 && !mode.stale ? [201, bookable(scheduleOf(id), slot, b.patient_id)] : problem(res, 409, 'scheduling.slot_taken', '该时段刚刚被约满', 'This time has just been taken') }
    const slot = data.slots.get(b.schedule_id).find((x) => x.remaining > 0)
    return slot ? [201, bookable(scheduleOf(b.schedule_id), slot, b.patient_id)] : problem(res, 409, 'scheduling.slot_taken', '该时段刚刚被约满', 'This time has just been taken')
  }],
  ['GET', /^claims$/, () => items(data.claims.filter((c) => c.state === 'open'))],
  ['GET', /^claims\/([^/]+)$/, (b, m, res) => { const c = data.claims.find((x) => x.id === m[1]); return c ? [200, c] : problem(res, 404, 'patient.not_found', '没有找到就诊人', 'There is no such person') }],
  ['POST', /^patients\/claims\/([^/]+)\/desk-proof$/, (b, m, res) => { const c = data.claims.find((x) => x.id === m[1]); if (mode.stale) c.state = 'ended'; if (c.state !== 'open') return problem(res, 409, 'patient.claim_ended', '验证已失效，请重新添加', 'The claim is no longer open, add the person again'); c.state = 'proved'; return [204] }],

  ['GET', /^payments$/, (b, m, res, q) => items(data.payments.filter((p) => !q.get('state') || p.state === q.get('state')))],
  ['GET', /^payments\/([^/]+)$/, (b, m, res) => { const p = data.payments.find((x) => x.id === m[1]); return p ? [200, { reference_id: uid(1), expires_at: ago(-10), version: 1, ...p, server_time: new Date().toISOString() }] : problem(res, 404, 'payment.not_found', '没有找到', 'Not found') }],
  ['POST', /^payments\/([^/]+)\/query$/, (b, m) => [200, { ...data.payments.find((x) => x.id === m[1]), server_time: new Date().toISOString() }]],
  ['POST', /^payments\/([^/]+)\/cash$/, (b, m, res) => { const p = data.payments.find((x) => x.id === m[1]); if (b.received_fen < p.amount_fen) return problem(res, 422, 'payment.cash_short', '收到的现金不够', 'The cash received is not enough'); settle(p, 'cash'); return [200, { payment: p, change_fen: b.received_fen - p.amount_fen }] }],
  ['GET', /^payments\/([^/]+)\/refunds$/, (b, m) => items(data.refunds.filter((r) => r.payment_id === m[1]).map((r) => ({ ...r, created_at: r.at })))],
  ['POST', /^payments\/([^/]+)\/refunds$/, (b, m, res) => { const p = data.payments.find((x) => x.id === m[1]); if (b.amount_fen > p.amount_fen - p.refunded_fen) return problem(res, 422, 'payment.refund_too_much', '超过可退金额', 'More than is left to refund'); const r = { id: randomUUID(), payment_id: p.id, number: p.number, amount_fen: b.amount_fen, reason: b.reason, state: 'requested', channel: p.channel, at: new Date().toISOString() }; data.refunds.unshift(r); p.state = 'refunding'; p.pending_fen = b.amount_fen; return [201, { ...r, created_at: r.at }] }],
  ['GET', /^refunds$/, (b, m, res, q) => items(data.refunds.filter((r) => !q.get('state') || r.state === q.get('state')))],
  ['POST', /^refunds\/([^/]+)\/(pay-out|retry)$/, (b, m) => { const r = data.refunds.find((x) => x.id === m[1]); r.state = m[2] === 'retry' ? 'requested' : 'done'; if (m[2] !== 'retry') r.done_at = new Date().toISOString(); return [200, r] }],

  ['GET', /^imports$/, () => items(data.imports)],
  ['GET', /^imports\/([^/]+)$/, (b, m, res) => { const i = data.imports.find((x) => x.id === m[1]); if (i?.state === 'running') { i.read_bytes = Math.min(i.bytes, i.read_bytes + i.bytes / 8); if (i.read_bytes >= i.bytes) Object.assign(i, { state: 'done', ended_at: new Date().toISOString(), ...endOf(i), report: i.kind === 'rota' ? { rota: rotaReport(i), ...(endOf(i).state === 'refused' ? { problem: { code: 'scheduling.import_stops', title: '导入会停掉已有人预约的班次，未导入任何内容；同意退号、退款并通知后可导入', title_en: 'The import would stop sessions that people have booked; nothing was imported, since their visits need consent', details: [] } } : {}) } : { fhir: { resources: 121376, types: [{ type: 'Patient', taken: 1204 }, { type: 'Practitioner', taken: 62 }, { type: 'Organization', taken: 14 }], skipped: [{ type: 'Observation', reason: 'not_used', count: 88210 }], refused: [{ file: 'bundle-3.json', path: 'entry[17].resource.birthDate', code: 'patient.invalid', reason_zh: '日期不对', reason_en: 'no such date' }], refused_count: 1 } } }) } return i ? [200, i] : problem(res, 404, 'interop.not_found', '没有找到', 'Not found') }],
  ['POST', /^imports$/, (b, m, res, q) => { const i = { id: randomUUID(), kind: q.get('kind'), name: q.get('name'), state: 'running', dry_run: q.get('dry_run') === 'true', bytes: 800000, read_bytes: q.get('dry_run') === 'true' ? 0 : 600000, stop_visits: q.get('stop_visits') === 'true', started_at: new Date().toISOString() }; data.imports.unshift(i); return [202, i] }],

  ['GET', /^ops\/deliveries$/, (b, m, res, q) => items(data.deliveries.filter((d) => (!q.get('state') || d.state === q.get('state')) && (!q.get('channel') || d.channel === q.get('channel'))))],
  ['POST', /^ops\/deliveries\/([^/]+)\/retry$/, (b, m) => { data.deliveries.find((d) => d.id === m[1]).state = 'queued'; return [204] }],
  ['GET', /^ops\/dead-letters$/, () => items(data.letters)],
  ['POST', /^ops\/dead-letters\/([^/]+)\/replay$/, (b, m) => { data.letters = data.letters.filter((l) => l.id !== m[1]); return [204] }],
  ['GET', /^ops\/jobs$/, (b, m, res, q) => items(data.jobs.filter((j) => !q.get('state') || j.state === q.get('state')))],
  ['POST', /^ops\/jobs\/([^/]+)\/retry$/, (b, m) => { data.jobs.find((j) => j.id === m[1]).state = 'queued'; return [204] }],
  ['GET', /^ops\/processes$/, () => items([{ id: uid(1), host: 'node-1', version: 'v0.4.0', modules: 'all', broker: 'embedded', keys: 'file', started_at: ago(4000) }, { id: uid(2), host: 'node-2', version: 'v0.4.0', modules: 'all', broker: 'embedded', keys: 'file', started_at: ago(90) }])],
  ['GET', /^staff\/accounts$/, (b, m, res, q) => items(data.staff.filter((s) => s.username.startsWith(q.get('username') ?? '')))],
  ['GET', /^access\/actions$/, () => items(accessActions)],
  ['GET', /^access\/explanation$/, (b, m, res, q) => explain(res, q)],
  ['POST', /^staff\/accounts$/, (b, m, res) => { if (data.staff.some((s) => s.username === b.username)) return problem(res, 409, 'identity.username_taken', '用户名已被使用', 'The user name is taken'); const s = { id: randomUUID(), username: b.username, name: b.name, state: 'active', grants: [], version: 1, created_at: new Date().toISOString() }; data.staff.unshift(s); return [201, { id: s.id, initial_password: 'k7-mango-river-42', totp_secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP', totp_uri: `otpauth://totp/Xinglin:${b.username}?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Xinglin` }] }],
  ['GET', /^staff\/accounts\/([^/]+)$/, (b, m, res) => { const s = data.staff.find((x) => x.id === m[1]); return s ? [200, s] : problem(res, 404, 'identity.not_found', '没有找到', 'Not found') }],
  ['PUT', /^staff\/accounts\/([^/]+)\/grants$/, (b, m, res, q, req) => { const s = data.staff.find((x) => x.id === m[1]); if (!versioned(req, s.version)) return staleAnswer(res); s.grants = b.grants; s.version++; return [200, s] }],
  ['POST', /^staff\/accounts\/([^/]+)\/disable$/, (b, m) => { data.staff.find((x) => x.id === m[1]).state = 'disabled'; return [204] }],
  ['GET', /^audit\/events$/, (b, m, res, q) => items(data.audit.filter((e) => (!q.get('noun') || e.noun === q.get('noun')) && (!q.get('actor') || e.actor === q.get('actor')) && (!q.get('id') || e.object === q.get('id'))))],
  ['POST', /^audit\/search$/, (b) => items(auditSearch(data.audit, b).map((e) => ({ position: 0, class: 'operation', ...e })))],
  ['GET', /^audit\/log$/, () => [200, auditLog(data.audit).log]],
  ['GET', /^audit\/heads$/, () => items(auditLog(data.audit).heads)],
  ['POST', /^audit\/heads$/, () => [200, auditLog(data.audit).heads[0]]],
  ['GET', /^audit\/events\/([^/]+)\/proof$/, (b, m, res) => { const p = auditProof(data.audit, m[1]); return p ? [200, mode.forged ? { ...p, data: p.data.replace('staff:', 'staff:x') } : p] : problem(res, 404, 'audit.not_found', '没有这条审计记录', 'There is no such audit event') }],
  ['GET', /^audit\/consistency$/, (b, m, res, q) => { const c = auditConsistency(data.audit, Number(q.get('earlier')), Number(q.get('later'))); return c ? [200, c] : problem(res, 404, 'audit.head_not_found', '没有这个日志头', 'There is no such head') }],
  ['GET', /^audit\/bundle$/, (b, m, res, q) => (Number(q.get('to')) > data.audit.length ? problem(res, 422, 'audit.range_invalid', '条目范围不在日志内', 'The range of entries lies outside of the signed log') : [200, { format: 'xinglin.bundle.v1' }])],
  ['GET', /^clients$/, () => items(data.clients)],
  ['POST', /^clients$/, (b) => { const c = { ...b, id: randomUUID(), state: 'active', version: 1, created_at: new Date().toISOString() }; data.clients.unshift(c); return [201, { ...c, ...(b.public ? {} : { secret: 'xs_7Qm2vN8yRk4tLw9pZc3hBf6s' }) }] }],
  ['GET', /^clients\/([^/]+)$/, (b, m, res) => { const c = data.clients.find((x) => x.id === m[1]); return c ? [200, c] : problem(res, 404, 'identity.client_not_found', '没有这个客户端', 'There is no such client') }],
  ['PUT', /^clients\/([^/]+)$/, (b, m, res, q, req) => { const c = data.clients.find((x) => x.id === m[1]); if (!versioned(req, c.version)) return staleAnswer(res); Object.assign(c, b); c.version++; return [200, c] }],
  ['POST', /^clients\/([^/]+)\/secret$/, (b, m) => { const c = data.clients.find((x) => x.id === m[1]); c.version++; return [201, { ...c, secret: 'xs_n3wSecretForTheOtherSide' }] }],
  ['POST', /^clients\/([^/]+)\/disable$/, (b, m) => { const c = data.clients.find((x) => x.id === m[1]); c.state = 'disabled'; c.version++; return [200, c] }],
  ['GET', /^signing-keys$/, () => items(data.signingKeys)],
  ['POST', /^signing-keys$/, () => { data.signingKeys.push({ id: 'k-2026-12', state: 'published', created_at: new Date().toISOString(), signs_at: new Date(Date.now() + 600e3).toISOString() }); return items(data.signingKeys) }],
]

// What asks for a fresh proof.
const marked = [['POST', /^clients$/], ['PUT', /^clients\//], ['POST', /^clients\/[^/]+\/secret$/], ['POST', /^signing-keys$/], ['GET', /^audit\/bundle$/], ['POST', /^payments\/[^/]+\/refunds$/], ['POST', /^staff\/accounts$/], ['PUT', /^staff\/accounts\/[^/]+\/grants$/], ['DELETE', /^auth\/passkeys\//], ['POST', /^auth\/totp/]]

const cookie = (req) => /xinglin_session=([^;]+)/.exec(req.headers.cookie ?? '')?.[1]

/** Tells of each change of a session's line. */
function stream(req, res, id) {
  if (mode.silent) return problem(res, 503, 'platform.busy', '系统繁忙', 'Busy')
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
  res.write(': hello\n\n')
  streams.add(res)
  const tell = (c) => c.schedule.id === id && res.write(`id: ${c.version}\nevent: queue\ndata: {"version":${c.version}}\n\n`)
  listeners.add(tell)
  const beat = setInterval(() => res.write(': beat\n\n'), 5000)
  req.on('close', () => { clearInterval(beat); listeners.delete(tell); streams.delete(res) })
}

const types = { html: 'text/html; charset=utf-8', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' }
function file(res, path) {
  let name = path.slice(1)
  if (name.startsWith('console/') && (!existsSync(dist + name) || name.endsWith('/'))) {
    if (name.startsWith('console/assets/')) return void res.writeHead(404).end()
    name = 'console/index.html'
  }
  if (!existsSync(dist + name) || name.includes('..')) return void res.writeHead(404).end()
  res.writeHead(200, { 'Content-Type': types[name.split('.').pop()] ?? 'application/octet-stream', 'Cache-Control': 'no-cache', 'Content-Security-Policy': "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'self'" })
  res.end(readFileSync(dist + name))
}

createServer((req, res) => {
  const url = new URL(req.url, 'http://x')
  if (url.pathname.startsWith('/__mock/')) {
    for (const [k, v] of url.searchParams) mode[k] = v === 'true' ? true : v === 'false' ? false : k === 'delay' ? Number(v) : v
    if (mode.silent) for (const s of streams) s.destroy()
    if (url.pathname === '/__mock/reset') { Object.assign(mode, calm); data = fresh() }
    return send(res, 200, { ...mode, first: data.first, payment: data.payments[0].id, person: data.people[0].id, staff: data.staff[0].id, client: data.clients[0].id, entry: data.audit[3].id, claim: data.claims[0].id, import: data.imports[0].id, rota: data.rotas[0].id, practitioner: data.practitioners[0].id, open: data.schedules.find((s) => s.state === 'open' && s.date > day(0)).id })
  }
  if (url.pathname === '/favicon.ico') return void res.writeHead(204).end()
  if (!url.pathname.startsWith('/api/v1/')) return url.pathname === '/' ? void res.writeHead(302, { Location: '/console/' }).end() : file(res, url.pathname)
  const path = url.pathname.slice('/api/v1/'.length)
  const events = /^clinic\/sessions\/(.+)\/events$/.exec(path)
  if (events) return stream(req, res, events[1])
  const parts = []
  req.on('data', (d) => parts.push(d))
  req.on('end', () =>
    setTimeout(() => {
      if (mode.fail && mode.fail.split(',').some((f) => path.startsWith(f)) && (req.method === 'GET' || path.endsWith('search'))) return problem(res, 500, 'platform.internal', '系统出错', 'Internal error')
      for (const [method, pattern, handle, open] of routes) {
        const m = path.match(pattern)
        if (!m || method !== req.method) continue
        const who = sessions.get(cookie(req))
        if (open !== false && (!who || mode.ended)) return problem(res, 401, 'identity.unauthenticated', '请登录', 'Log in')
        if (mode.old && marked.some(([m, p]) => m === req.method && p.test(path))) return problem(res, 403, 'auth.step_up', '请先再次验证身份', 'Prove once more that it is you')
        const text = path === 'imports' ? '' : Buffer.concat(parts).toString()
        const out = handle(text ? JSON.parse(text) : {}, m, res, url.searchParams, req, who && meOf(who))
        if (Array.isArray(out)) send(res, out[0], out[1], out[2])
        return
      }
      problem(res, 404, 'platform.no_route', '没有这个接口', 'No such route')
    }, mode.delay),
  )
}).listen(port, '127.0.0.1', () => console.log(`mock on http://127.0.0.1:${port}/console/`))

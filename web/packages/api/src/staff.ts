// The API as the staff's console uses it. Every function returns the body or throws an ApiError.
import type * as T from './types'
import type * as W from './staff-types'
import { address, createCall, type Call, type CallOptions, type Query, type Raw } from './call'
import { fromResponse, fromThrown } from './errors'
import { Intents, memoryStore } from './intent'

export interface StaffApiOptions extends CallOptions {
  /** Keys of open wishes. In memory: what the desk asks for names people, and must not outlive the tab. */
  intents?: Intents
}

export function createStaffApi(options: StaffApiOptions = {}) {
  const intents = options.intents ?? new Intents(memoryStore())
  const call = createCall(options)

  const get = <D>(path: string, query?: Query, signal?: AbortSignal): Promise<D> => call<D>('GET', path, { ...(query ? { query } : {}), ...(signal ? { signal } : {}) })
  const list = async <I>(path: string, query?: Query, signal?: AbortSignal): Promise<T.Page<I>> => {
    const page = await get<Raw<I>>(path, query, signal)
    return { ...page, items: page.items ?? [] }
  }
  /** A write that takes effect once: the same wish after a lost answer goes out under the same key. */
  const once = <D>(path: string, body: unknown = {}, more: Call = {}): Promise<D> =>
    intents.run(`${path}:${more.version ?? ''}:${JSON.stringify(body)}`, (key) => call<D>('POST', path, { ...more, body, key }))
  const id = encodeURIComponent

  return {
    // who is at the desk
    me: (): Promise<T.Me> => call('GET', '/auth/me', { login: true }),
    login: (username: string, password: string, totp: string): Promise<T.Me> => call('POST', '/auth/staff/sessions', { body: { username, password, totp }, login: true }),
    closeSession: (): Promise<void> => call('DELETE', '/auth/sessions/current', { login: true }),
    sessions: (signal?: AbortSignal) => list<T.Session>('/auth/sessions', {}, signal),
    revokeSession: (session: string): Promise<void> => call('DELETE', `/auth/sessions/${id(session)}`),
    /** Only where the server runs with --demo; elsewhere 404. */
    demoAccounts: async (): Promise<T.DemoAccount[]> => ((await call<Raw<T.DemoAccount>>('GET', '/demo/accounts', { login: true })).items ?? []).filter((a) => a.kind === 'staff'),

    // the house
    organization: (signal?: AbortSignal) => get<T.Organization>('/organization', {}, signal),
    campuses: (signal?: AbortSignal) => list<T.Campus>('/campuses', {}, signal),
    createCampus: (body: W.NewCampus) => call<T.Campus>('POST', '/campuses', { body }),
    departments: (campus_id?: string, signal?: AbortSignal) => list<T.Department>('/departments', { campus_id }, signal),
    createDepartment: (body: W.NewDepartment) => call<T.Department>('POST', '/departments', { body }),
    practitioners: (query: { q?: string; department_id?: string; campus_id?: string; cursor?: string }, signal?: AbortSignal) => list<T.Practitioner>('/practitioners', { ...query, limit: 50 }, signal),
    practitioner: (who: string, signal?: AbortSignal) => get<T.Practitioner>(`/practitioners/${id(who)}`, {}, signal),
    createPractitioner: (body: W.NewPractitioner) => call<T.Practitioner>('POST', '/practitioners', { body }),
    updatePractitioner: (who: string, version: number, body: W.PractitionerChange) => call<T.Practitioner>('PUT', `/practitioners/${id(who)}`, { body, version }),

    // what persons ask for, and the registers
    privacyRequests: (ended: boolean, signal?: AbortSignal) => list<W.DueRequest>('/privacy/requests', { ended, limit: 100 }, signal),
    privacyRequest: (request: string) => get<W.OfficerRequest>(`/privacy/requests/${id(request)}`),
    decidePrivacyRequest: (request: string, version: number, accept: boolean, note: string) =>
      call<unknown>('POST', `/privacy/requests/${id(request)}/decision`, { version, body: { accept, ...(note ? { note } : {}) } }),
    privacyTexts: (signal?: AbortSignal) => list<W.PurposeText>('/privacy/texts', {}, signal),
    publishPrivacyText: (body: W.PurposeTextSpec) => call<W.PurposeText>('POST', '/privacy/texts', { body }),
    assessments: (signal?: AbortSignal) => list<W.Assessment>('/privacy/assessments', {}, signal),
    createAssessment: (body: W.AssessmentEntry) => once<W.Assessment>('/privacy/assessments', body),
    updateAssessment: (assessment: string, version: number, body: W.AssessmentEntry) => call<W.Assessment>('PUT', `/privacy/assessments/${id(assessment)}`, { body, version }),
    breaches: (signal?: AbortSignal) => list<W.Breach>('/privacy/breaches', {}, signal),
    createBreach: (body: W.BreachEntry) => once<W.Breach>('/privacy/breaches', body),
    updateBreach: (breach: string, version: number, body: W.BreachEntry) => call<W.Breach>('PUT', `/privacy/breaches/${id(breach)}`, { body, version }),
    retained: (signal?: AbortSignal) => list<W.RetainedPerson>('/privacy/retained', { limit: 100 }, signal),
    openRetained: (person: string, why: string) => call<W.Dossier>('POST', `/privacy/retained/${id(person)}/opening`, { body: { why } }),

    // schedule
    schedules: (query: { department_id?: string; practitioner_id?: string; from?: string; to?: string }, signal?: AbortSignal) => list<T.Schedule>('/schedules', query, signal),
    slots: (schedule: string, signal?: AbortSignal) => list<T.Slot>(`/schedules/${id(schedule)}/slots`, {}, signal),
    sessionAppointments: (schedule: string, cursor?: string, signal?: AbortSignal) => list<T.Appointment>(`/schedules/${id(schedule)}/appointments`, { cursor, limit: 100 }, signal),
    readStop: (schedule: string, signal?: AbortSignal) => get<W.StopState>(`/schedules/${id(schedule)}/stop`, {}, signal),
    stopSession: (schedule: string, version: number, reason: string) =>
      once<{ schedule: T.Schedule; affected: number; refund_fen: number }>(`/schedules/${id(schedule)}/stop`, { reason }, { version }),
    resumeSession: (schedule: string, version: number) => once<T.Schedule>(`/schedules/${id(schedule)}/resume`, {}, { version }),
    rotas: (query: { department_id?: string; practitioner_id?: string; cursor?: string }, signal?: AbortSignal) => list<W.Rota>('/rotas', { ...query, limit: 50 }, signal),
    previewRota: (rule: W.RotaRule, ofRule?: string) => call<W.RotaPreview>('POST', '/rotas/preview', { body: { rule, ...(ofRule ? { id: ofRule } : {}) } }),
    createRota: (rule: W.RotaRule) => call<W.Rota>('POST', '/rotas', { body: rule }),
    updateRota: (rota: string, version: number, rule: W.RotaRule) => call<W.Rota>('PUT', `/rotas/${id(rota)}`, { body: rule, version }),
    bookingRules: (signal?: AbortSignal) => get<W.BookingRules>('/booking-rules', {}, signal),
    setBookingRules: (version: number, preset: string, values?: W.RuleValues) => call<W.BookingRules>('PUT', '/booking-rules', { version, body: { preset, ...(values ? { values } : {}) } }),
    appointment: (appointment: string, signal?: AbortSignal) => get<T.Appointment>(`/appointments/${id(appointment)}`, {}, signal),
    cancelAppointment: (appointment: string, version: number, reason: string) => call<T.Appointment>('POST', `/appointments/${id(appointment)}/cancel`, { version, body: { reason } }),

    // the clinic's line
    clinicSessions: (query: { date: string; campus_id?: string; department_id?: string }, signal?: AbortSignal) => list<W.ClinicSession>('/clinic/sessions', query, signal),
    queue: (schedule: string, signal?: AbortSignal) => get<W.ClinicQueue>(`/clinic/sessions/${id(schedule)}/queue`, {}, signal),
    queueEvents: (schedule: string): string => `/api/v1/clinic/sessions/${id(schedule)}/events`,
    callNext: (schedule: string, version: number) => once<W.ClinicQueue>(`/clinic/sessions/${id(schedule)}/call-next`, { version }),
    pauseSession: (schedule: string, minutes: number, reason: W.PauseReason) => once<unknown>(`/clinic/sessions/${id(schedule)}/pause`, { minutes, reason }),
    resumeClinic: (schedule: string) => once<unknown>(`/clinic/sessions/${id(schedule)}/resume`),
    turn: (appointment: string, act: 'check-in' | 'recall' | 'skip' | 'done') => once<unknown>(`/clinic/turns/${id(appointment)}/${act}`),
    reveal: (appointment: string) => call<W.Revealed>('POST', `/clinic/turns/${id(appointment)}/reveal`, { body: {} }),
    displays: (signal?: AbortSignal) => list<W.Display>('/clinic/displays', {}, signal),
    createDisplay: (body: { name: string; campus_id: string; department_ids: string[] }) => call<W.Display & { token: string }>('POST', '/clinic/displays', { body }),
    deleteDisplay: (display: string): Promise<void> => call('DELETE', `/clinic/displays/${id(display)}`),

    // the window
    searchPatients: (search: W.DeskSearch) => call<{ items: W.DeskPatient[] | null }>('POST', '/desk/patients/search', { body: search }),
    registerPatient: (person: W.DeskRegistration) => once<W.DeskPatient>('/desk/patients', person),
    bookAtDesk: (wish: { patient_id: string; slot_id: string } | { patient_id: string; schedule_id: string; any: true }) => once<T.Appointment>('/desk/appointments', wish),
    deskAppointments: (patient_id: string, signal?: AbortSignal) => list<T.Appointment>('/desk/appointments', { patient_id }, signal),
    claims: (cursor?: string, signal?: AbortSignal) => list<W.DeskClaim>('/claims', { state: 'open', cursor }, signal),
    claim: (claim: string, signal?: AbortSignal) => get<W.DeskClaim>(`/claims/${id(claim)}`, {}, signal),
    proveClaim: (claim: string): Promise<void> => call('POST', `/patients/claims/${id(claim)}/desk-proof`),

    // money
    payment: (payment: string, signal?: AbortSignal) => get<T.Payment>(`/payments/${id(payment)}`, {}, signal),
    queryPayment: (payment: string) => call<T.Payment>('POST', `/payments/${id(payment)}/query`),
    takeCash: (payment: string, received_fen: number) => once<{ payment: T.Payment; change_fen: number }>(`/payments/${id(payment)}/cash`, { received_fen }),
    payments: (query: { state?: string; from?: string; to?: string; cursor?: string }, signal?: AbortSignal) => list<W.PaymentRow>('/payments', query, signal),
    refundsOf: (payment: string, signal?: AbortSignal) => list<T.Refund>(`/payments/${id(payment)}/refunds`, {}, signal),
    refund: (payment: string, amount_fen: number, reason: string) => once<T.Refund>(`/payments/${id(payment)}/refunds`, { amount_fen, reason }),
    refunds: (query: { state?: string; cursor?: string }, signal?: AbortSignal) => list<W.RefundRow>('/refunds', query, signal),
    payOut: (refund: string) => once<unknown>(`/refunds/${id(refund)}/pay-out`),
    retryRefund: (refund: string) => once<unknown>(`/refunds/${id(refund)}/retry`),

    // imports
    imports: (cursor?: string, signal?: AbortSignal) => list<W.ImportRun>('/imports', { cursor }, signal),
    importRun: (run: string, signal?: AbortSignal) => get<W.ImportRun>(`/imports/${id(run)}`, {}, signal),
    /** Sends a file. XMLHttpRequest, because fetch tells nothing about what has left. */
    startImport: (file: File, wish: { kind: W.ImportKind; dry_run: boolean; stop_visits: boolean }, onSent: (bytes: number) => void, signal?: AbortSignal): Promise<W.ImportRun> =>
      intents.run(`import:${wish.kind}:${wish.dry_run}:${wish.stop_visits}:${file.name}:${file.size}:${file.lastModified}`, (key) => upload(address('/imports', { ...wish, name: file.name }), file, key, onSent, options.onUnauthorized, signal)),

    // notices
    deliveries: (query: { state?: string; channel?: string; cursor?: string }, signal?: AbortSignal) => list<W.Delivery>('/ops/deliveries', query, signal),
    retryDelivery: (delivery: string) => call<unknown>('POST', `/ops/deliveries/${id(delivery)}/retry`),

    // people and the machine
    /** username: the beginning of it. */
    staff: (cursor?: string, signal?: AbortSignal, username?: string) => list<W.StaffAccount>('/staff/accounts', { cursor, username, limit: 50 }, signal),
    staffAccount: (account: string, signal?: AbortSignal) => get<W.StaffAccount>(`/staff/accounts/${id(account)}`, {}, signal),
    createStaff: (body: W.NewStaff) => call<W.CreatedStaff>('POST', '/staff/accounts', { body }),
    /** practitioner_id: who the account is in the directory; empty: nobody. */
    putGrants: (account: string, version: number, grants: W.Grant[], practitioner_id: string) => call<W.StaffAccount>('PUT', `/staff/accounts/${id(account)}/grants`, { version, body: { grants, practitioner_id } }),
    disableStaff: (account: string) => call<unknown>('POST', `/staff/accounts/${id(account)}/disable`),
    accessActions: (signal?: AbortSignal) => list<W.AccessAction>('/access/actions', {}, signal),
    explainAccess: (account_id: string, action: string, resource_id: string, signal?: AbortSignal) => get<W.AccessAnswer>('/access/explanation', { account_id, action, resource_id }, signal),
    auditEvents: (query: { actor?: string; noun?: string; id?: string; cursor?: string }, signal?: AbortSignal) => list<W.AuditEvent>('/audit/events', { ...query, limit: 50 }, signal),
    /** What is asked for stands in no address. */
    searchAudit: (search: W.AuditSearch, signal?: AbortSignal) => call<T.Page<W.AuditEvent>>('POST', '/audit/search', { body: { limit: 50, ...search }, ...(signal ? { signal } : {}) }),
    auditLog: (signal?: AbortSignal) => get<W.AuditLog>('/audit/log', {}, signal),
    auditHeads: (cursor?: string, signal?: AbortSignal) => list<W.AuditHead>('/audit/heads', { cursor, limit: 20 }, signal),
    signHead: () => call<W.AuditHead>('POST', '/audit/heads'),
    /** The text of the file, byte for byte: it is what the command line checks. */
    auditProof: (event: string, signal?: AbortSignal) => call<string>('GET', `/audit/events/${id(event)}/proof`, { file: true, ...(signal ? { signal } : {}) }),
    auditConsistency: (earlier: number, later: number) => call<string>('GET', '/audit/consistency', { query: { earlier, later }, file: true }),
    auditBundle: (from: number, to: number) => call<string>('GET', '/audit/bundle', { query: { from, to }, file: true }),

    // other systems
    clients: (cursor?: string, signal?: AbortSignal) => list<W.Client>('/clients', { cursor, limit: 50 }, signal),
    client: (client: string, signal?: AbortSignal) => get<W.Client>(`/clients/${id(client)}`, {}, signal),
    createClient: (spec: W.ClientSpec) => call<W.MadeClient>('POST', '/clients', { body: spec }),
    updateClient: (client: string, version: number, spec: W.ClientSpec) => call<W.Client>('PUT', `/clients/${id(client)}`, { version, body: spec }),
    rotateClientSecret: (client: string, overlap_hours: number) => call<W.MadeClient>('POST', `/clients/${id(client)}/secret`, { body: { overlap_hours } }),
    disableClient: (client: string) => call<W.Client>('POST', `/clients/${id(client)}/disable`),
    signingKeys: (signal?: AbortSignal) => list<W.SigningKey>('/signing-keys', {}, signal),
    rotateSigningKey: () => call<unknown>('POST', '/signing-keys'),
    jobs: (state: string, signal?: AbortSignal) => list<W.Job>('/ops/jobs', { state }, signal),
    retryJob: (job: string): Promise<void> => call('POST', `/ops/jobs/${id(job)}/retry`),
    deadLetters: (signal?: AbortSignal) => list<W.DeadLetter>('/ops/dead-letters', {}, signal),
    replay: (letter: string): Promise<void> => call('POST', `/ops/dead-letters/${id(letter)}/replay`),
    processes: (signal?: AbortSignal) => list<W.ServeProcess>('/ops/processes', {}, signal),
  }
}

/** Ten minutes for the largest file over a slow line. */
const uploadMs = 600_000

function upload(url: string, file: File, key: string, onSent: (bytes: number) => void, onUnauthorized?: () => void, signal?: AbortSignal): Promise<W.ImportRun> {
  return new Promise((resolve, reject) => {
    const x = new XMLHttpRequest()
    x.open('POST', url)
    x.timeout = uploadMs
    x.setRequestHeader('Accept', 'application/json')
    x.setRequestHeader('Content-Type', 'application/octet-stream')
    x.setRequestHeader('Idempotency-Key', key)
    x.upload.onprogress = (e) => onSent(e.loaded)
    const failed = (name: string) => () => reject(fromThrown(new DOMException('', name), navigator.onLine !== false))
    x.onerror = failed('NetworkError')
    x.ontimeout = failed('TimeoutError')
    x.onabort = failed('AbortError')
    x.onload = () => {
      let body: unknown
      try {
        body = JSON.parse(x.responseText)
      } catch {
        body = undefined
      }
      if (x.status >= 200 && x.status < 300) return resolve(body as W.ImportRun)
      if (x.status === 401) onUnauthorized?.()
      const retry = x.getResponseHeader('Retry-After')
      reject(fromResponse(new Response(null, { status: x.status, headers: retry ? { 'Retry-After': retry } : {} }), body, Date.now()))
    }
    signal?.addEventListener('abort', () => x.abort(), { once: true })
    x.send(file)
  })
}

export type StaffApi = ReturnType<typeof createStaffApi>

import createClient from 'openapi-fetch'
import type { paths } from './schema'
import type * as T from './types'
import { ApiError, fromResponse, fromThrown } from './errors'
import { Intents, sessionStore } from './intent'
import { learnServerTime } from './clock'
import { dropPass, heldPass, type Pass } from './pass'
import type { NewPushDevice, NoticePreferences, PushDevice, VisitTurn } from './visit'

export interface ApiOptions {
  /** Origin of the API; empty means the page's own. */
  baseUrl?: string
  /** Milliseconds until a call is given up. */
  timeoutMs?: number
  /** Told on every 401 except those of logging in itself. */
  onUnauthorized?: () => void
  fetch?: typeof fetch
  intents?: Intents
  /** Where the waiting room leaves its pass. */
  passes?: Pick<Storage, 'getItem' | 'removeItem'>
}

type Result<D> = { data?: D; error?: unknown; response: Response }

/** A number that a person wants: at a time, or the earliest of a session. */
export type Wish = { patient_id: string; slot_id: string } | { patient_id: string; schedule_id: string; any: true }

/** A list as the contract writes it: without items it may be null. */
type List<I> = { items: I[] | null; next?: string }

const bookName = (wish: Wish) => `book:${JSON.stringify(wish)}`

/** fetch with a time limit; the caller's own signal keeps working. */
export function withTimeout(base: typeof fetch, timeoutMs: number): (request: Request) => Promise<Response> {
  return async (request) => {
    const stop = new AbortController()
    const timer = setTimeout(() => stop.abort(new DOMException('', 'TimeoutError')), timeoutMs)
    const relay = () => stop.abort(request.signal.reason)
    if (request.signal.aborted) relay()
    request.signal.addEventListener('abort', relay, { once: true })
    try {
      const response = await base(request, { signal: stop.signal })
      // The body counts too: read it under the same limit.
      const body = [101, 204, 205, 304].includes(response.status) ? null : await response.arrayBuffer()
      return new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers })
    } catch (e) {
      throw stop.signal.aborted ? stop.signal.reason : e
    } finally {
      clearTimeout(timer)
      request.signal.removeEventListener('abort', relay)
    }
  }
}

/** The API as functions that return the body or throw an ApiError. */
export function createApi(options: ApiOptions = {}) {
  const intents = options.intents ?? new Intents(sessionStore())
  const passes = options.passes ?? sessionStore()
  const http = createClient<paths>({
    baseUrl: options.baseUrl ?? '',
    credentials: 'same-origin',
    headers: { Accept: 'application/json' },
    fetch: withTimeout(options.fetch ?? ((...a) => globalThis.fetch(...a)), options.timeoutMs ?? 20_000),
  })

  async function send<D>(call: Promise<Result<D>>, login = false): Promise<{ data: D; response: Response }> {
    let result: Result<D>
    try {
      result = await call
    } catch (e) {
      throw fromThrown(e, typeof navigator === 'undefined' || navigator.onLine !== false)
    }
    learnServerTime(result.response.headers.get('Date'))
    if (!result.response.ok) {
      if (result.response.status === 401 && !login) options.onUnauthorized?.()
      throw fromResponse(result.response, result.error, Date.now())
    }
    return { data: result.data as D, response: result.response }
  }
  const body = async <D>(call: Promise<Result<D>>, login = false): Promise<D> => (await send(call, login)).data
  const list = async <I>(call: Promise<Result<List<I>>>, login = false): Promise<T.Page<I>> => {
    const answer = await body(call, login)
    return { ...answer, items: answer.items ?? [] }
  }
  const page = (cursor?: string, limit = 50) => ({ ...(cursor ? { cursor } : {}), limit })
  const at = (id: string) => ({ params: { path: { id } } })

  return {
    // identity
    requestCode: (phone: string): Promise<T.CodeChallenge> => body(http.POST('/api/v1/auth/codes', { body: { phone } }), true),
    openSession: (challenge_id: string, code: string): Promise<T.Me> =>
      body(http.POST('/api/v1/auth/sessions', { body: { challenge_id, code } }), true),
    me: (): Promise<T.Me> => body(http.GET('/api/v1/auth/me'), true),
    closeSession: (): Promise<unknown> => body(http.DELETE('/api/v1/auth/sessions/current'), true),
    sessions: (signal?: AbortSignal): Promise<T.Page<T.Session>> => list(http.GET('/api/v1/auth/sessions', { signal })),
    revokeSession: (id: string): Promise<unknown> => body(http.DELETE('/api/v1/auth/sessions/{id}', at(id))),
    /** Only where the server runs with --demo; elsewhere 404. */
    demoAccounts: async (): Promise<T.DemoAccount[]> => (await list(http.GET('/api/v1/demo/accounts'), true)).items,
    demoInbox: async (): Promise<T.DemoMessage[]> => (await list(http.GET('/api/v1/demo/inbox'), true)).items,

    // directory
    campuses: (signal?: AbortSignal): Promise<T.Page<T.Campus>> => list(http.GET('/api/v1/campuses', { signal })),
    departments: (campus_id?: string, signal?: AbortSignal): Promise<T.Page<T.Department>> =>
      list(http.GET('/api/v1/departments', { signal, params: { query: campus_id ? { campus_id } : {} } })),
    practitioners: (
      query: { q?: string; department_id?: string; campus_id?: string; cursor?: string },
      signal?: AbortSignal,
    ): Promise<T.Page<T.Practitioner>> => list(http.GET('/api/v1/practitioners', { signal, params: { query: { ...query, limit: 30 } } })),
    practitioner: (id: string, signal?: AbortSignal): Promise<T.Practitioner> =>
      body(http.GET('/api/v1/practitioners/{id}', { signal, ...at(id) })),
    organization: (signal?: AbortSignal): Promise<T.Organization> => body(http.GET('/api/v1/organization', { signal })),

    // people
    patients: (signal?: AbortSignal): Promise<T.Page<T.Patient>> => list(http.GET('/api/v1/patients', { signal })),
    patient: (id: string, signal?: AbortSignal): Promise<T.Patient> => body(http.GET('/api/v1/patients/{id}', { signal, ...at(id) })),
    /** A claim comes back instead of a person when that person is known already and a proof is asked for. */
    addPatient: async (person: T.NewPatient): Promise<{ patient: T.Patient } | { claim: T.PatientClaim }> => {
      const { data, response } = await send(http.POST('/api/v1/patients', { body: person }))
      return response.status === 202 ? { claim: data as T.PatientClaim } : { patient: data as T.Patient }
    },
    proveClaim: (id: string, code: string): Promise<T.Patient> =>
      body(http.POST('/api/v1/patients/claims/{id}/proof', { ...at(id), body: { code } })),
    verifyPatient: (id: string): Promise<T.Patient> => body(http.POST('/api/v1/patients/{id}/verification', at(id))),
    unlinkPatient: (id: string): Promise<unknown> => body(http.DELETE('/api/v1/patients/{id}/link', at(id))),

    // scheduling
    schedules: (
      query: { practitioner_id?: string; department_id?: string; from?: string; to?: string },
      signal?: AbortSignal,
    ): Promise<T.Page<T.Schedule>> => list(http.GET('/api/v1/schedules', { signal, params: { query } })),
    slots: (id: string, signal?: AbortSignal): Promise<T.Page<T.Slot>> =>
      list(http.GET('/api/v1/schedules/{id}/slots', { signal, ...at(id) })),
    /** Holds (or, when free of charge, books) a number. A retry after a lost answer is the same request, never a second number. */
    book: (wish: Wish): Promise<T.Appointment> =>
      intents.run(bookName(wish), async (key) => {
        const pass = heldPass(passes)
        try {
          return await body(http.POST('/api/v1/appointments', { params: { header: { 'Idempotency-Key': key, ...(pass ? { 'Queue-Pass': pass.pass } : {}) } }, body: wish }))
        } catch (e) {
          if (e instanceof ApiError && e.wantsPass) dropPass(passes)
          throw e
        }
      }),
    /** Whether a wish was sent and its outcome is open: it goes on under its key. */
    wished: (wish: Wish): boolean => intents.has(bookName(wish)),
    /** The waiting room's pass, while it is good. */
    pass: (): Pass | null => heldPass(passes),
    /** Does the work that the server asks of a caller before it listens again. */
    prove: async (signal?: AbortSignal): Promise<void> => {
      const puzzle = await body(http.POST('/api/v1/queue/challenge', { signal }))
      const { solve } = await import('./work')
      await body(http.POST('/api/v1/queue/challenge/answer', { signal, body: { nonce: puzzle.nonce, suffix: await solve(puzzle.nonce, puzzle.bits, signal) } }))
    },
    /** The lottery of a session; it has the session's id. */
    lottery: async (id: string, signal?: AbortSignal): Promise<T.Lottery> => {
      const l: T.Lottery = await body(http.GET('/api/v1/lotteries/{id}', { signal, ...at(id) }))
      learnServerTime(l.server_time)
      return l
    },
    lotteryEntries: (id: string, signal?: AbortSignal): Promise<T.Page<T.LotteryEntry>> =>
      list(http.GET('/api/v1/lotteries/{id}/entries', { signal, ...at(id) })),
    /** Enters a person. A retry after a lost answer is the same entry; when it wins, the key is the appointment's id. */
    enterLottery: (id: string, wish: { patient_id: string; slot_ids: string[] }): Promise<T.LotteryEntry> =>
      intents.run(`lottery:${id}:${JSON.stringify(wish)}`, (key) =>
        body(http.POST('/api/v1/lotteries/{id}/entries', { params: { path: { id }, header: { 'Idempotency-Key': key } }, body: wish })),
      ),
    /** Where the draw can be fetched as a file, by anybody. */
    lotteryProof: (id: string): string => `${options.baseUrl ?? ''}/api/v1/lotteries/${encodeURIComponent(id)}/proof`,
    appointments: (query: { state?: T.VisitState; cursor?: string }, signal?: AbortSignal): Promise<T.Page<T.Appointment>> =>
      list(
        http.GET('/api/v1/appointments', {
          signal,
          params: { query: { ...(query.state ? { state: query.state } : {}), ...page(query.cursor, 20) } },
        }),
      ),
    appointment: (id: string, signal?: AbortSignal): Promise<T.Appointment> =>
      body(http.GET('/api/v1/appointments/{id}', { signal, ...at(id) })),
    cancelAppointment: (id: string, version: number): Promise<T.Appointment> =>
      body(http.POST('/api/v1/appointments/{id}/cancel', { params: { path: { id }, header: { 'If-Match': `"${version}"` } }, body: {} })),

    // payment
    payment: async (id: string, signal?: AbortSignal): Promise<T.Payment> => {
      const p: T.Payment = await body(http.GET('/api/v1/payments/{id}', { signal, ...at(id) }))
      learnServerTime(p.server_time)
      return p
    },
    prepay: (id: string, return_url: string): Promise<T.Prepay> =>
      body(http.POST('/api/v1/payments/{id}/prepay', { ...at(id), body: { channel: 'wechat', return_url } })),
    queryPayment: (id: string): Promise<T.Payment> => body(http.POST('/api/v1/payments/{id}/query', at(id))),
    refunds: (id: string, signal?: AbortSignal): Promise<T.Page<T.Refund>> =>
      list(http.GET('/api/v1/payments/{id}/refunds', { signal, ...at(id) })),

    // notices
    notices: async (cursor?: string, signal?: AbortSignal): Promise<T.Page<T.Notice> & { unread?: number }> =>
      list(http.GET('/api/v1/notices', { signal, params: { query: page(cursor, 30) } })),
    readAllNotices: (): Promise<unknown> => body(http.POST('/api/v1/notices/read-all')),
    /** The settings and the mark that a change of them must name. */
    noticePreferences: async (signal?: AbortSignal): Promise<{ prefs: NoticePreferences; mark: string }> => {
      const { data, response } = await send(http.GET('/api/v1/notice-preferences', { signal }))
      return { prefs: data, mark: response.headers.get('ETag') ?? '' }
    },
    setNoticePreferences: async (p: NoticePreferences, mark: string): Promise<{ prefs: NoticePreferences; mark: string }> => {
      const { topics, quiet, quiet_from, quiet_to } = p
      const { data, response } = await send(http.PUT('/api/v1/notice-preferences', { params: { header: { 'If-Match': mark } }, body: { topics, quiet, quiet_from, quiet_to } }))
      return { prefs: data, mark: response.headers.get('ETag') ?? '' }
    },
    sendMailCode: (mail: string): Promise<unknown> => body(http.POST('/api/v1/notice-preferences/mail', { body: { mail } })),
    confirmMail: (code: string): Promise<unknown> => body(http.POST('/api/v1/notice-preferences/mail/confirm', { body: { code } })),
    removeMail: (): Promise<unknown> => body(http.DELETE('/api/v1/notice-preferences/mail')),
    pushKey: async (): Promise<string> => (await body(http.GET('/api/v1/push/key'))).key,
    pushDevices: (signal?: AbortSignal): Promise<T.Page<PushDevice>> => list(http.GET('/api/v1/push/subscriptions', { signal })),
    addPushDevice: (device: NewPushDevice): Promise<PushDevice> => body(http.POST('/api/v1/push/subscriptions', { body: device })),
    removePushDevice: (id: string): Promise<unknown> => body(http.DELETE('/api/v1/push/subscriptions/{id}', at(id))),

    // clinic
    turn: async (id: string, signal?: AbortSignal): Promise<VisitTurn> => {
      const turn: VisitTurn = await body(http.GET('/api/v1/visits/{appointment}/turn', { signal, params: { path: { appointment: id } } }))
      learnServerTime(turn.server_time)
      return turn
    },
    /** Checks in for a visit. A retry after a lost answer is the same check-in. */
    checkIn: (id: string): Promise<VisitTurn> =>
      intents.run(`check-in:${id}`, (key) => body(http.POST('/api/v1/visits/{appointment}/check-in', { params: { path: { appointment: id }, header: { 'Idempotency-Key': key } } }))),
    turnEvents: (id: string): string => `${options.baseUrl ?? ''}/api/v1/visits/${encodeURIComponent(id)}/turn/events`,
    readNotice: (id: string): Promise<unknown> => body(http.POST('/api/v1/notices/{id}/read', at(id))),
  }
}

export type Api = ReturnType<typeof createApi>

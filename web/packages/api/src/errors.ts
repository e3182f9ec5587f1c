import type { Problem } from './types'

/** Codes made on this side of the wire. All others come from the server's problem+json. */
export const clientCode = {
  offline: 'client.offline',
  timeout: 'client.timeout',
  network: 'client.network',
  unreadable: 'client.unreadable',
} as const

/** Refusals of the waiting room and its challenge. */
const doorCodes = ['admission.pass_needed', 'admission.token_forged', 'admission.token_shared', 'admission.token_expired', 'admission.challenge_needed']
const silence: string[] = [clientCode.offline, clientCode.timeout, clientCode.network]

export interface FieldError {
  path: string
  code: string
  message: string
}

/** A failed call. `settled` is false when nobody knows whether the server acted: only then may the same intent be sent again. */
export class ApiError extends Error {
  readonly code: string
  readonly status: number
  readonly title: string
  readonly titleEn: string
  readonly traceId: string
  readonly errors: FieldError[]
  /** Seconds the server asks us to wait, 0 when it does not say. */
  readonly retryAfter: number

  constructor(init: {
    code: string
    status?: number
    title?: string
    titleEn?: string
    traceId?: string
    errors?: FieldError[]
    retryAfter?: number
  }) {
    super(init.code)
    this.name = 'ApiError'
    this.code = init.code
    this.status = init.status ?? 0
    this.title = init.title ?? ''
    this.titleEn = init.titleEn ?? ''
    this.traceId = init.traceId ?? ''
    this.errors = init.errors ?? []
    this.retryAfter = init.retryAfter ?? 0
  }

  get settled(): boolean {
    return this.status >= 400 && this.status < 500 && this.status !== 408 && this.status !== 429
  }

  /** Refused on the way in (login, waiting room, challenge). That says nothing about the wish: it goes on afterwards under its key. */
  get atDoor(): boolean {
    return this.status === 401 || doorCodes.includes(this.code)
  }

  /** The way in leads through the waiting room: there is no pass, or it does not hold here and now. */
  get wantsPass(): boolean {
    return this.atDoor && this.status !== 401 && this.code !== 'admission.challenge_needed'
  }

  /** Too many people at once, or nobody answered: the same request is worth another try after a while. */
  get passing(): boolean {
    if (this.code === 'scheduling.paused') return false // for the night
    return [429, 502, 503, 504].includes(this.status) || silence.includes(this.code)
  }

  /** The request may have had its effect although nobody said so. */
  get unsure(): boolean {
    return [502, 504].includes(this.status) || this.code.endsWith('.outcome_unknown') || silence.includes(this.code)
  }
}

/** Reads Retry-After, which is seconds or an HTTP date. */
export function retryAfterSeconds(header: string | null, nowMs: number): number {
  if (!header) return 0
  const seconds = Number(header)
  if (Number.isFinite(seconds)) return Math.max(0, Math.ceil(seconds))
  const at = Date.parse(header)
  return Number.isNaN(at) ? 0 : Math.max(0, Math.ceil((at - nowMs) / 1000))
}

/** Turns an answer that is not 2xx into an ApiError; a body that is no problem document still keeps status and request id. */
export function fromResponse(response: Response, body: unknown, nowMs: number): ApiError {
  const p = (typeof body === 'object' && body !== null ? body : {}) as Partial<Problem>
  return new ApiError({
    code: p.code || `http.${response.status}`,
    status: response.status,
    title: p.title,
    titleEn: p.title_en,
    traceId: p.trace_id || response.headers.get('X-Request-Id') || '',
    errors: (p.errors ?? []).map((e) => ({ path: e.path ?? '', code: e.code ?? '', message: e.message ?? '' })),
    retryAfter: retryAfterSeconds(response.headers.get('Retry-After'), nowMs),
  })
}

/** Turns what fetch throws into an ApiError. A cancelled call stays what it is. */
export function fromThrown(cause: unknown, online: boolean): unknown {
  if (cause instanceof ApiError) return cause
  if (cause instanceof DOMException && cause.name === 'TimeoutError') return new ApiError({ code: clientCode.timeout })
  if (cause instanceof DOMException && cause.name === 'AbortError') return cause
  if (cause instanceof SyntaxError) return new ApiError({ code: clientCode.unreadable })
  return new ApiError({ code: online ? clientCode.network : clientCode.offline })
}

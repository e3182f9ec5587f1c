// Calls of the API by path, for what is not in the first load of the patient's application.
import { withTimeout } from './client'
import { learnServerTime } from './clock'
import { fromResponse, fromThrown } from './errors'

export interface CallOptions {
  /** Milliseconds until a call is given up. */
  timeoutMs?: number
  /** Told on every 401 except those of logging in itself. */
  onUnauthorized?: () => void
  /** Asks the person to prove once more that they are there; true when they did, and the refused call goes out again. */
  stepUp?: () => Promise<boolean>
  fetch?: typeof fetch
}

export type Query = Record<string, string | number | boolean | undefined | null>

export interface Call {
  query?: Query
  body?: unknown
  key?: string
  version?: number
  signal?: AbortSignal
  /** Part of logging in or of proving: a 401 is an answer and not the end of a session. */
  login?: boolean
  /** The answer is a file: its text as it is. */
  file?: boolean
}

/** A page as the contract writes it: a list without items may be null. */
export type Raw<I> = { items: I[] | null; next?: string }

export const stepUpCode = 'auth.step_up'
/** Another process learns of a proof within half a second. */
const heardMs = 600

export function address(path: string, query: Query = {}): string {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(query)) if (v !== undefined && v !== null && v !== '') q.set(k, String(v))
  const text = q.toString()
  return `${location.origin}/api/v1${path}${text ? `?${text}` : ''}`
}

/** Reads an answer as JSON, whatever its status; an empty or unreadable one is undefined. */
async function read(response: Response): Promise<unknown> {
  const text = await response.text()
  try {
    return text ? JSON.parse(text) : undefined
  } catch {
    return undefined
  }
}

/** A function that returns the body of an answer or throws an ApiError. */
export function createCall(options: CallOptions) {
  const base = options.fetch ?? ((...a: Parameters<typeof fetch>) => globalThis.fetch(...a))
  const send = withTimeout(base, options.timeoutMs ?? 20_000)

  async function once<D>(method: string, path: string, c: Call): Promise<D> {
    const headers: Record<string, string> = { Accept: 'application/json' }
    if (c.body !== undefined) headers['Content-Type'] = 'application/json'
    if (c.key) headers['Idempotency-Key'] = c.key
    if (c.version !== undefined) headers['If-Match'] = `"${c.version}"`
    let response: Response
    try {
      response = await send(
        new Request(address(path, c.query), { method, headers, credentials: 'same-origin', signal: c.signal ?? null, body: c.body === undefined ? null : JSON.stringify(c.body) }),
      )
    } catch (e) {
      throw fromThrown(e, typeof navigator === 'undefined' || navigator.onLine !== false)
    }
    learnServerTime(response.headers.get('Date'))
    if (c.file && response.ok) return (await response.text()) as D
    const body = await read(response)
    if (!response.ok) {
      if (response.status === 401 && !c.login) options.onUnauthorized?.()
      throw fromResponse(response, body, Date.now())
    }
    return body as D
  }

  const wantsProof = (e: unknown) => e instanceof Error && 'code' in e && e.code === stepUpCode

  return async function call<D>(method: string, path: string, c: Call = {}): Promise<D> {
    try {
      return await once<D>(method, path, c)
    } catch (e) {
      if (!wantsProof(e) || !options.stepUp || !(await options.stepUp())) throw e
    }
    // The same request, with the same key: it was refused before it did anything.
    try {
      return await once<D>(method, path, c)
    } catch (e) {
      if (!wantsProof(e)) throw e
    }
    await new Promise((r) => setTimeout(r, heardMs))
    return once<D>(method, path, c)
  }
}

export type CallApi = ReturnType<typeof createCall>

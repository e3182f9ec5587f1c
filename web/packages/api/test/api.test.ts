import { describe, expect, it, vi } from 'vitest'
import { ApiError, Intents, createApi, memoryStore, uuidv7 } from '../src'
import { followCounts } from '../src/counts'
import { backoff, StreamParser, type LiveState } from '../src/live'
import { retryAfterSeconds } from '../src/errors'

const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': status >= 400 ? 'application/problem+json' : 'application/json', ...headers } })
const origin = 'http://127.0.0.1:1'
const client = (f: (r: Request) => Promise<Response>, more: object = {}) => createApi({ baseUrl: origin, fetch: ((r: Request, init?: RequestInit) => f(new Request(r, init))) as typeof fetch, intents: new Intents(memoryStore()), ...more })

describe('uuidv7', () => {
  it('carries the time, the version and the variant', () => {
    const id = uuidv7(0x0123456789ab)
    expect(id).toMatch(/^01234567-89ab-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(uuidv7(0x0123456789ab)).not.toBe(id)
  })
})

describe('problem documents', () => {
  it('become an ApiError with both titles, the request id, the fields and Retry-After', async () => {
    const api = client(async () =>
      json(429, { title: '太频繁', title_en: 'Too often', status: 429, code: 'identity.code_too_often', trace_id: 'abc', errors: [{ path: 'body.phone', code: 'x', message: 'y' }] }, { 'Retry-After': '42' }),
    )
    const e = await api.requestCode('13800000001').catch((x: unknown) => x)
    expect(e).toBeInstanceOf(ApiError)
    expect(e).toMatchObject({ code: 'identity.code_too_often', status: 429, title: '太频繁', titleEn: 'Too often', traceId: 'abc', retryAfter: 42, errors: [{ path: 'body.phone', code: 'x', message: 'y' }] })
  })
  it('may be missing: the status remains', async () => {
    const api = client(async () => new Response('<html>', { status: 502, headers: { 'Content-Type': 'text/html' } }))
    await expect(api.campuses()).rejects.toMatchObject({ code: 'http.502', status: 502 })
  })
  it('reads Retry-After as seconds and as a date', () => {
    expect(retryAfterSeconds('7', 0)).toBe(7)
    expect(retryAfterSeconds(new Date(9_000).toUTCString(), 4_000)).toBe(5)
    expect(retryAfterSeconds('soon', 0)).toBe(0)
    expect(retryAfterSeconds(null, 0)).toBe(0)
  })
})

describe('401', () => {
  it('is told to the application, but not when logging in', async () => {
    const onUnauthorized = vi.fn()
    const api = client(async () => json(401, { title: 'x', status: 401, code: 'identity.unauthenticated' }), { onUnauthorized })
    await expect(api.openSession('c', '1')).rejects.toMatchObject({ status: 401 })
    expect(onUnauthorized).not.toHaveBeenCalled()
    await expect(api.patients()).rejects.toMatchObject({ status: 401 })
    expect(onUnauthorized).toHaveBeenCalledTimes(1)
  })
})

describe('time limit', () => {
  it('ends a call that nobody answers', async () => {
    const api = client((r) => new Promise((_, no) => r.signal.addEventListener('abort', () => no(r.signal.reason))), { timeoutMs: 5 })
    await expect(api.campuses()).rejects.toMatchObject({ code: 'client.timeout', settled: false })
  })
  it('leaves a call that the page gave up as an abort', async () => {
    const stop = new AbortController()
    const api = client((r) => new Promise((_, no) => r.signal.addEventListener('abort', () => no(r.signal.reason))))
    const call = api.campuses(stop.signal)
    stop.abort()
    await expect(call).rejects.toMatchObject({ name: 'AbortError' })
  })
})

describe('intents', () => {
  const wish = { patient_id: 'p', slot_id: 's' }
  it('keep the key over a lost answer and drop it when the outcome is known', async () => {
    const seen: string[] = []
    const answers = [() => Promise.reject(new TypeError('lost')), () => Promise.resolve(json(503, { title: 'x', status: 503, code: 'b' })), () => Promise.resolve(json(201, { id: 'a' })), () => Promise.resolve(json(201, { id: 'b' }))]
    const api = client((r) => {
      seen.push(r.headers.get('Idempotency-Key') ?? '')
      return answers[seen.length - 1]!()
    })
    await expect(api.book(wish)).rejects.toMatchObject({ code: 'client.network' })
    await expect(api.book(wish)).rejects.toMatchObject({ code: 'b' })
    await expect(api.book(wish)).resolves.toMatchObject({ id: 'a' })
    await expect(api.book(wish)).resolves.toMatchObject({ id: 'b' })
    expect(seen[0]).toMatch(/^[0-9a-f-]{36}$/)
    expect(seen[1]).toBe(seen[0])
    expect(seen[2]).toBe(seen[0])
    expect(seen[3]).not.toBe(seen[0])
  })
  it('take a new key after a refusal and for another wish', async () => {
    const seen: string[] = []
    const api = client(async (r) => {
      seen.push(r.headers.get('Idempotency-Key') ?? '')
      return json(409, { title: 'x', status: 409, code: 'scheduling.slot_taken' })
    })
    await api.book(wish).catch(() => undefined)
    await api.book(wish).catch(() => undefined)
    await api.book({ ...wish, slot_id: 't' }).catch(() => undefined)
    expect(new Set(seen).size).toBe(3)
  })
})

describe('requests', () => {
  it('send the version as a strong ETag', async () => {
    let header = ''
    const api = client(async (r) => {
      header = r.headers.get('If-Match') ?? ''
      return json(200, { id: 'a' })
    })
    await api.cancelAppointment('a', 7)
    expect(header).toBe('"7"')
  })
  it('tell a claim from a person', async () => {
    const person = { name: 'n', document_type: 'passport' as const, document_number: '1', relationship: 'other' as const }
    expect(await client(async () => json(202, { claim_id: 'c', proof: 'phone_code', phone_masked: '' })).addPatient(person)).toEqual({ claim: { claim_id: 'c', proof: 'phone_code', phone_masked: '' } })
    expect(await client(async () => json(201, { id: 'p' })).addPatient(person)).toEqual({ patient: { id: 'p' } })
  })
  it('give a list without items as an empty one', async () => {
    expect(await client(async () => json(200, { items: null, next: '' })).patients()).toEqual({ items: [], next: '' })
    expect(await client(async () => json(200, { items: [{ kind: 'patient', label: 'x' }] })).demoAccounts()).toHaveLength(1)
  })
})

describe('event stream', () => {
  it('is cut into events however it arrives', () => {
    const text = ': beat\n\nid: 4\nevent: count\ndata: {"a":1}\n\nevent: count\r\ndata: x\r\ndata: y\r\n\r\n'
    for (const size of [1, 3, 7, text.length]) {
      const p = new StreamParser()
      const out = []
      // A carriage return at the end of a piece may have its line feed in the next one, so CRLF texts are fed whole.
      const pieces = size < text.length ? text.slice(0, text.indexOf('event: count\r')).match(new RegExp(`[^]{1,${size}}`, 'g'))! : [text]
      for (const piece of pieces) out.push(...p.push(piece))
      expect(out[0]).toEqual({ id: '4', event: 'count', data: '{"a":1}' })
      if (size === text.length) expect(out[1]).toEqual({ id: '4', event: 'count', data: 'x\ny' })
    }
  })
  it('waits longer each time, with jitter, up to 30 s', () => {
    expect(backoff(0, () => 0)).toBe(500)
    expect(backoff(0, () => 1)).toBe(1_000)
    expect(backoff(50, () => 1)).toBe(30_000)
  })
  it('resumes after the last event and says since when it is lost', async () => {
    const resumed: (string | null)[] = []
    const states: LiveState[] = []
    const counts: unknown[] = []
    await new Promise<void>((done) => {
      const stop = followCounts({
        ids: ['a', 'b'],
        baseUrl: origin,
        delay: () => 1,
        onState: (s) => states.push(s),
        onCount: (c) => counts.push(c),
        fetch: (async (url: string, init: RequestInit) => {
          expect(url).toBe(`${origin}/api/v1/schedules/live?ids=a,b`)
          resumed.push(new Headers(init.headers).get('Last-Event-ID'))
          if (resumed.length === 3) {
            stop()
            done()
          }
          return new Response('id: 9\nevent: count\ndata: {"schedule_id":"a","remaining":1,"slots":{},"at":""}\n\n', { status: 200 })
        }) as typeof fetch,
      })
    })
    expect(resumed).toEqual([null, '9', '9'])
    expect(counts[0]).toMatchObject({ schedule_id: 'a', remaining: 1 })
    expect(states.map((s) => s.status)).toContain('live')
    expect(states.find((s) => s.status === 'lost')?.lostSince).toBeGreaterThan(0)
  })
})

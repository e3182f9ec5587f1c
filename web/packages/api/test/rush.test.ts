import { describe, expect, it, vi } from 'vitest'
import { ApiError, Intents, createApi, memoryStore, persist, type Pause } from '../src'
import { heldPass } from '../src/pass'
import { pauseAfter } from '../src/persist'
import { solve } from '../src/work'

const problem = (status: number, code: string, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify({ title: 'x', status, code }), { status, headers: { 'Content-Type': 'application/problem+json', ...headers } })
const made = (id: string) => new Response(JSON.stringify({ id }), { status: 201, headers: { 'Content-Type': 'application/json' } })
const wish = { patient_id: 'p', slot_id: 's' }
const later = '2030-01-01T00:02:00Z'

/** A client with its stores, and what it sent. */
function client(answers: (() => Response)[]) {
  const sent: Request[] = []
  const store = memoryStore()
  const api = createApi({
    baseUrl: 'http://127.0.0.1:1',
    intents: new Intents(store),
    passes: store,
    fetch: (async (r: Request, init?: RequestInit) => {
      sent.push(new Request(r, init))
      return answers[sent.length - 1]!()
    }) as typeof fetch,
  })
  return { api, sent, store, keys: () => sent.map((r) => r.headers.get('Idempotency-Key')) }
}

describe('at the door', () => {
  it.each([
    [403, 'admission.pass_needed'],
    [403, 'admission.token_shared'],
    [410, 'admission.token_expired'],
    [400, 'admission.token_forged'],
    [403, 'admission.challenge_needed'],
    [401, 'identity.unauthenticated'],
  ])('%i %s says nothing about the wish: the repeat has the same key', async (status, code) => {
    const { api, keys } = client([() => problem(status, code), () => made('a')])
    expect(api.wished(wish)).toBe(false)
    await expect(api.book(wish)).rejects.toMatchObject({ code })
    expect(api.wished(wish)).toBe(true)
    await api.book(wish)
    expect(keys()[1]).toBe(keys()[0])
    expect(api.wished(wish)).toBe(false)
  })
  it('other refusals end the wish', async () => {
    for (const [status, code] of [[403, 'admission.refused'], [403, 'scheduling.suspended'], [409, 'scheduling.slot_taken']] as const) {
      const { api } = client([() => problem(status, code)])
      await api.book(wish).catch(() => undefined)
      expect([code, api.wished(wish)]).toEqual([code, false])
    }
  })
  it('a key outlives the lost answer and the waiting room after it', async () => {
    const { api, keys } = client([() => problem(503, 'batch.outcome_unknown'), () => problem(403, 'admission.pass_needed'), () => made('a')])
    await api.book(wish).catch(() => undefined)
    await api.book(wish).catch(() => undefined)
    await api.book(wish)
    expect(new Set(keys()).size).toBe(1)
  })
})

describe('the pass', () => {
  const put = (store: Pick<Storage, 'setItem'>, until: string) => store.setItem('xinglin.pass', JSON.stringify({ pass: 'tok', until, department: 'd' }))
  it('goes out with the hold while it is good, and with nothing else', async () => {
    const { api, sent, store } = client([() => made('a'), () => made('b'), () => made('c')])
    put(store, new Date(Date.now() + 60_000).toISOString())
    await api.book(wish)
    await api.enterLottery('l', { patient_id: 'p', slot_ids: [] })
    put(store, new Date(Date.now() - 1_000).toISOString())
    await api.book(wish)
    expect(sent.map((r) => r.headers.get('Queue-Pass'))).toEqual(['tok', null, null])
  })
  it('is dropped when the server does not take it, and kept over other failures', async () => {
    const { api, store } = client([() => problem(503, 'batch.busy'), () => problem(403, 'admission.token_shared')])
    put(store, new Date(Date.now() + 60_000).toISOString())
    await api.book(wish).catch(() => undefined)
    expect(api.pass()?.pass).toBe('tok')
    await api.book(wish).catch(() => undefined)
    expect(api.pass()).toBeNull()
  })
  it.each(['', 'null', '{', '[]', '"x"', '{"pass":"","until":"2030-01-01T00:02:00Z"}', '{"pass":"t"}', '{"pass":"t","until":"soon"}', '{"pass":1,"until":"2030-01-01T00:02:00Z"}'])('%j is none', (text) => {
    const store = memoryStore()
    store.setItem('xinglin.pass', text)
    expect(heldPass(store, 0)).toBeNull()
    expect(store.getItem('xinglin.pass')).toBeNull()
  })
  it('ends at its time by the server', () => {
    const store = memoryStore()
    put(store, later)
    expect(heldPass(store, Date.parse(later) - 1)).toEqual({ pass: 'tok', until: later, department: 'd' })
    expect(heldPass(store, Date.parse(later))).toBeNull()
  })
})

describe('persisting', () => {
  const busy = (status = 503, code = 'batch.busy', retryAfter = 0) => new ApiError({ status, code, retryAfter })
  async function run(outcomes: (ApiError | string)[], options: { tries?: number; stopAfter?: number } = {}) {
    vi.useFakeTimers()
    const stopper = new AbortController()
    const pauses: (Pause | null)[] = []
    let n = 0
    const call = async () => {
      const o = outcomes[n++]!
      if (typeof o === 'string') return o
      throw o
    }
    const onPause = (p: Pause | null) => {
      pauses.push(p)
      if (p && p.made === options.stopAfter) stopper.abort()
    }
    try {
      const done = persist(call, { signal: stopper.signal, onPause, random: () => 0.5, ...(options.tries ? { tries: options.tries } : {}) }).then(
        (value) => ({ value }),
        (error: ApiError) => ({ error }),
      )
      await vi.runAllTimersAsync()
      return { ...((await done) as { value?: string; error?: ApiError }), made: n, pauses }
    } finally {
      vi.useRealTimers()
    }
  }
  it.each([[503, 'batch.busy'], [503, 'http.busy'], [429, 'http.account_rate'], [429, 'admission.slow_down'], [502, 'http.502'], [503, 'db.outcome_unknown'], [0, 'client.timeout'], [0, 'client.network'], [0, 'client.offline']] as const)('goes on after %i %s', async (status, code) => {
    const { value, made, pauses } = await run([busy(status, code), busy(status, code), 'a'])
    expect([value, made, pauses.length]).toEqual(['a', 3, 4])
    expect(pauses.at(-1)).toBeNull()
  })
  it.each([[409, 'scheduling.slot_taken'], [403, 'admission.pass_needed'], [401, 'identity.unauthenticated'], [500, 'http.internal'], [503, 'scheduling.paused']] as const)('ends with %i %s', async (status, code) => {
    const { error, made } = await run([busy(status, code)])
    expect([error?.code, made]).toEqual([code, 1])
  })
  it('has an end', async () => {
    const { error, made } = await run(Array<ApiError>(9).fill(busy()), { tries: 3 })
    expect([error?.code, made]).toEqual(['batch.busy', 3])
  })
  it('does not hang on when the server asks for more than a minute', async () => {
    expect((await run([busy(429, 'http.rate', 61), 'a'])).made).toBe(1)
    expect((await run([busy(429, 'http.rate', 60), 'a'])).value).toBe('a')
  })
  it('is stopped between two tries, never in one', async () => {
    const { error, made } = await run([busy(), busy(), 'a'], { stopAfter: 2 })
    expect([error?.code, made]).toEqual(['batch.busy', 2])
    // Stopped while the call is on its way: its answer counts.
    const stopper = new AbortController()
    const call = async () => {
      stopper.abort()
      return 'a'
    }
    await expect(persist(call, { signal: stopper.signal, onPause: () => undefined })).resolves.toBe('a')
  })
  it('waits longer each time, never less than was asked for, and not all for the same time', () => {
    expect([1, 2, 3, 4, 5, 9].map((n) => pauseAfter(n, 0, () => 0))).toEqual([1_000, 2_000, 4_000, 8_000, 8_000, 8_000])
    for (const random of [() => 0, Math.random, () => 1]) expect(pauseAfter(1, 10, random)).toBeGreaterThanOrEqual(10_000)
    expect(pauseAfter(1, 10, () => 1)).toBe(15_000)
  })
})

describe('the work asked of a caller', () => {
  /** The words of the browser's own SHA-256. */
  async function own(text: string): Promise<number[]> {
    const view = new DataView(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
    return Array.from({ length: 8 }, (_, i) => view.getInt32(4 * i))
  }
  it('finds a suffix with so many zero bits', async () => {
    for (const bits of [0, 1, 9, 12]) {
      const suffix = await solve('nonce', bits)
      expect(Math.clz32((await own(`nonce${suffix}`))[0]!)).toBeGreaterThanOrEqual(bits)
      expect(suffix.length).toBeLessThanOrEqual(32)
    }
  })
  it('can be given up', async () => {
    const stopper = new AbortController()
    const work = solve('nonce', 256, stopper.signal)
    stopper.abort()
    await expect(work).rejects.toMatchObject({ name: 'AbortError' })
  })
  it('is fetched, done and sent', async () => {
    const { api, sent } = client([() => new Response('{"nonce":"n","bits":8,"code_available":false}', { status: 200, headers: { 'Content-Type': 'application/json' } }), () => new Response(null, { status: 204 })])
    await api.prove()
    const answer = (await sent[1]!.json()) as { nonce: string; suffix: string }
    expect(answer.nonce).toBe('n')
    expect(Math.clz32((await own(answer.nonce + answer.suffix))[0]!)).toBeGreaterThanOrEqual(8)
  })
})

import { afterEach, describe, expect, it, vi } from 'vitest'
import { createCall, createFactors, passkeysPossible } from '../src/factors'
import { createStaffApi } from '../src/staff'

vi.stubGlobal('location', { origin: 'http://127.0.0.1:1', hostname: '127.0.0.1' })

const answer = (status: number, body: unknown) => new Response(JSON.stringify(body), { status })
const refusal = () => answer(403, { code: 'auth.step_up', title: '请先再次验证身份', title_en: 'Prove once more' })

/** A server that refuses the first n requests for an old proof, and what it was sent. */
function server(old: number) {
  const seen: { method: string; path: string; key: string | null; body: string }[] = []
  const fetch = async (input: RequestInfo | URL) => {
    const r = input as Request
    seen.push({ method: r.method, path: new URL(r.url).pathname, key: r.headers.get('Idempotency-Key'), body: await r.text() })
    return seen.length <= old ? refusal() : answer(201, { id: 'r1' })
  }
  return { seen, fetch: fetch as typeof globalThis.fetch }
}

describe('an act that asks for a fresh proof', () => {
  afterEach(() => vi.useRealTimers())

  it('goes out again under its key when the person has proved it', async () => {
    const s = server(1)
    const stepUp = vi.fn(async () => true)
    const r = await createStaffApi({ fetch: s.fetch, stepUp }).refund('p1', 1000, 'staff')
    expect(r.id).toBe('r1')
    expect(stepUp).toHaveBeenCalledTimes(1)
    expect(s.seen).toHaveLength(2)
    expect(s.seen[1]).toEqual(s.seen[0])
    expect(s.seen[0]!.key).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('waits once for a process that has not heard of the proof', async () => {
    vi.useFakeTimers()
    const s = server(2)
    const stepUp = vi.fn(async () => true)
    const done = createCall({ fetch: s.fetch, stepUp })('POST', '/x', { body: {} })
    await vi.advanceTimersByTimeAsync(1_000)
    await expect(done).resolves.toEqual({ id: 'r1' })
    expect(stepUp).toHaveBeenCalledTimes(1)
  })

  it('stays refused when the person does not want to', async () => {
    const s = server(9)
    await expect(createCall({ fetch: s.fetch, stepUp: async () => false })('POST', '/x')).rejects.toMatchObject({ code: 'auth.step_up' })
    expect(s.seen).toHaveLength(1)
  })

  it('is asked for nowhere else', async () => {
    const stepUp = vi.fn(async () => true)
    const fetch = (async () => answer(403, { code: 'authz.denied' })) as typeof globalThis.fetch
    await expect(createCall({ fetch, stepUp })('POST', '/x')).rejects.toMatchObject({ code: 'authz.denied' })
    expect(stepUp).not.toHaveBeenCalled()
  })

  it('a wrong proof is an answer and not the end of a session', async () => {
    const onUnauthorized = vi.fn()
    const fetch = (async () => answer(401, { code: 'identity.step_up_wrong' })) as typeof globalThis.fetch
    await expect(createFactors(createCall({ fetch, onUnauthorized })).proveByTotp('123456')).rejects.toMatchObject({ code: 'identity.step_up_wrong' })
    expect(onUnauthorized).not.toHaveBeenCalled()
  })
})

it('a page without a host name has no passkeys', () => expect(passkeysPossible()).toBe(false))

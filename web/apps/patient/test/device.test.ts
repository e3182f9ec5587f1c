import { beforeEach, describe, expect, it } from 'vitest'
import { toKept } from '../src/lib/kept'
import { isKept } from '../src/lib/keptAt'
import { deviceName } from '../src/lib/push'
import { forgetSearches, recentSearches, rememberSearch } from '../src/lib/searches'
import { todosOf } from '../src/lib/todo'
import { person, visit } from './fixtures'

describe('what the device keeps of a visit', () => {
  it('leads to no person and to no act', () => {
    const kept = toKept({ ...visit, patient_name_masked: '张*三', payment_id: 'pay1', payment_state: 'paid', cancel_before: visit.starts_at, hold_expires_at: visit.starts_at })
    const text = JSON.stringify(kept)
    for (const gone of ['张', visit.patient_id, 'pay1', 'cancel_before', 'hold_expires_at', 'payment_state']) expect(text).not.toContain(gone)
    expect(isKept(kept)).toBe(true)
    expect(isKept(visit)).toBe(false)
    expect(kept).toMatchObject({ id: visit.id, reg_no: visit.reg_no, starts_at: visit.starts_at, cancellable: false })
  })
})

describe('searches', () => {
  beforeEach(() => localStorage.clear())
  it('are the last six, each once, and can be forgotten', () => {
    for (const w of ['a', 'b', 'c', 'd', 'e', 'f', 'g', ' c ', '']) rememberSearch(w)
    expect(recentSearches()).toEqual(['c', 'g', 'f', 'e', 'd', 'b'])
    forgetSearches()
    expect(recentSearches()).toEqual([])
  })
  it('of another hand are dropped', () => {
    localStorage.setItem('xinglin.searches', '{"a":1}')
    expect(recentSearches()).toEqual([])
    localStorage.setItem('xinglin.searches', '[1,"b"]')
    expect(recentSearches()).toEqual(['b'])
  })
})

it.each([
  ['Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36', 'Chrome · Android'],
  ['Mozilla/5.0 (iPhone; CPU iPhone OS 17_5) AppleWebKit/605.1 Version/17.5 Safari/604.1', 'Safari · iOS'],
  ['Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 Edg/126.0', 'Edge · Windows'],
  ['something else', ''],
])('names the device of %s', (agent, name) => expect(deviceName(agent)).toBe(name))

describe('to-dos', () => {
  const soon = new Date(Date.now() + 600_000).toISOString()
  const kinds = (...args: Parameters<typeof todosOf>) => todosOf(...args).map((x) => x.kind)
  it('say what waits, most urgent first, and nothing that the page shows already', () => {
    const pending = { ...visit, id: 'a2', state: 'pending' as const, hold_expires_at: soon }
    expect(kinds([visit, pending], 'a1', [person], undefined)).toEqual(['pay', 'verify'])
    expect(kinds([visit, pending], 'a2', [{ ...person, verified: 'verified' }], undefined)).toEqual(['more'])
    expect(kinds([], undefined, [], { name: 'lottery' })).toEqual(['nobody', 'lottery'])
    expect(kinds([{ ...visit, refund_state: 'requested', state: 'cancelled' }], undefined, undefined, undefined)).toEqual(['refund'])
  })
  it('a hold that has ended and a copy of the device wait for nothing', () => {
    const over = { ...visit, id: 'a2', state: 'pending' as const, hold_expires_at: new Date(Date.now() - 1).toISOString() }
    expect(kinds([over, toKept({ ...visit, id: 'a3' })], undefined, undefined, undefined)).toEqual([])
  })
})

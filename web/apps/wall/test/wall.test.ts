import { describe, expect, it } from 'vitest'
import type { Board, BoardCall, BoardRoom } from '@xinglin/api'
import en from '../src/locales/en.json'
import zh from '../src/locales/zh.json'
import { callId, callMs, graceMs, keepMs, pageOf, screenOf, type Knowledge } from '../src/state'
import { takeToken } from '../src/token'
import { nowPart, Part, plainPart, roomsPart, type Clock } from '../src/view'
import { wordsOf } from '../src/words'

const t0 = Date.parse('2030-05-06T01:41:05Z')
const call: BoardCall = { number_text: 'A018', name_masked: '张*三', room: '306 诊室', practitioner_name: '何安', called_at: new Date(t0).toISOString(), calls: 1 }
const room: BoardRoom = { schedule_id: 'r1', room: '306 诊室', department_name: 'D', practitioner_name: 'P', state: 'running', calling: 'A018', next: ['A019'], waiting: 6, missed: ['A012'] }
const board: Board = { name: 'N', campus_name: 'C', server_time: new Date(t0).toISOString(), updated_at: new Date(t0).toISOString(), calls: [call], rooms: [room] }
const known = (more: Partial<Knowledge> = {}): Knowledge => ({ token: true, unknown: false, board, heardAt: t0, offset: 0, live: 'live', lostSince: 0, ...more })
const two = (at: number | string) => new Date(at).toISOString().slice(11, 19)
const clock: Clock = { minutes: (at) => two(at).slice(0, 5), seconds: two }
const html = (parts: ReturnType<typeof nowPart>) => parts.filter(Boolean).map((p) => (p as Element).outerHTML).join('')

describe('what a screen shows', () => {
  it.each([
    ['without a token', { token: false }, t0, 'none'],
    ['that was switched off', { unknown: true }, t0, 'unknown'],
    ['before the first word', { board: null, live: 'connecting' as const }, t0, 'connecting'],
    ['that never got through', { board: null, live: 'lost' as const }, t0, 'lostFirst'],
    ['live', {}, t0 + 1_000, 'board'],
    ['lost for nine minutes', { live: 'lost' as const }, t0 + 540_000, 'board'],
    ['just at ten minutes', { live: 'lost' as const }, t0 + keepMs, 'board'],
    ['after ten minutes', { live: 'lost' as const }, t0 + keepMs + 1, 'old'],
    ['on a day without sessions', { board: { ...board, rooms: [] } }, t0, 'empty'],
    ['with a list that is null', { board: { ...board, rooms: null, calls: null } as unknown as Board }, t0, 'empty'],
  ])('%s', (_, more, at, kind) => expect(screenOf(known(more), at).kind).toBe(kind))

  it('says when it is lost, and of when its figures are', () => {
    expect(screenOf(known({ live: 'lost', lostSince: t0 + 5_000 }), t0 + 60_000)).toMatchObject({ lost: true, heardAt: t0 })
    expect(screenOf(known({ live: 'lost', lostSince: t0 + 5_000 }), t0 + 5_000 + graceMs)).toMatchObject({ lost: false })
    expect(screenOf(known({ live: 'lost', lostSince: t0 + 5_000 }), t0 + 5_001 + graceMs)).toMatchObject({ lost: true })
    expect(screenOf(known(), t0)).toMatchObject({ lost: false })
  })
  it('a call stands for two minutes by the server and is one of those before afterwards', () => {
    const ahead = known({ offset: 3_600_000, board: { ...board, calls: [{ ...call, called_at: new Date(t0 + 3_600_000).toISOString() }] } })
    expect(screenOf(ahead, t0 + callMs - 1)).toMatchObject({ now: { number_text: 'A018' }, before: [] })
    expect(screenOf(ahead, t0 + callMs)).toMatchObject({ now: null, before: [{ number_text: 'A018' }] })
  })
  it('names each missed number once, twelve at most', () => {
    const many = Array.from({ length: 9 }, (_, i) => ({ ...room, missed: [`A${i}`, `B${i}`, 'A0'] }))
    const s = screenOf(known({ board: { ...board, rooms: many } }), t0)
    expect(s.kind === 'board' && s.missed.length).toBe(12)
    expect(s.kind === 'board' && new Set(s.missed).size).toBe(12)
  })
  it('a second call of the same person is a call', () => {
    expect(callId({ ...call, calls: 2 })).not.toBe(callId(call))
    expect(callId(null)).toBe('')
  })
})

describe('pages of rooms', () => {
  it('turn every ten seconds and show each room', () => {
    const all = Array.from({ length: 14 }, (_, i) => i)
    const seen = [0, 10_000, 20_000].flatMap((at) => pageOf(all, 6, at).rooms)
    expect(seen).toEqual(all)
    expect(pageOf(all, 6, 30_000)).toEqual({ rooms: [0, 1, 2, 3, 4, 5], page: 1, pages: 3 })
    expect(pageOf([], 6, 0)).toEqual({ rooms: [], page: 1, pages: 1 })
  })
})

describe('the token', () => {
  const store = () => {
    const m = new Map<string, string>()
    return { getItem: (k: string) => m.get(k) ?? null, setItem: (k: string, v: string) => void m.set(k, v) }
  }
  it('leaves the address at once and is remembered', () => {
    const kept = store()
    const shown: unknown[] = []
    const history = { replaceState: (_: unknown, __: string, url?: string | URL | null) => void shown.push(url) }
    expect(takeToken({ hash: '#abc%3D', pathname: '/wall/', search: '?lang=en' }, history, kept)).toBe('abc=')
    expect(shown).toEqual(['/wall/?lang=en'])
    expect(takeToken({ hash: '', pathname: '/wall/', search: '' }, history, kept)).toBe('abc=')
    expect(shown).toHaveLength(1)
  })
  it('is none where none was given, or nothing may be kept', () => {
    const closed = { getItem: () => { throw new Error('refused') }, setItem: () => { throw new Error('refused') } }
    const history = { replaceState: () => undefined }
    expect(takeToken({ hash: '', pathname: '/wall/', search: '' }, history, closed)).toBe('')
    expect(takeToken({ hash: '#x', pathname: '/wall/', search: '' }, history, closed)).toBe('x')
  })
})

describe('the parts', () => {
  const words = wordsOf('zh')
  it('show text as text', () => {
    const evil = { ...call, name_masked: '<img src=x onerror=alert(1)>' }
    const s = screenOf(known({ board: { ...board, calls: [evil] } }), t0)
    if (s.kind !== 'board') throw new Error(s.kind)
    expect(html(nowPart(s, words))).toContain('&lt;img')
  })
  it('tell a paused room and the one that is called', () => {
    const paused: BoardRoom = { ...room, room: '308', state: 'paused', calling: undefined, paused_until: new Date(t0 + 600_000).toISOString(), next: [] }
    const out = html(roomsPart([room, paused], 6, '306 诊室', words, clock, t0))
    expect(out).toContain('暂停，约 01:51 继续')
    expect(out.match(/is-call/g)).toHaveLength(1)
    expect(html(roomsPart([paused], 6, '', words, clock, t0 + 700_000))).toContain('暂停叫号')
  })
  it('are built anew only when something changed', () => {
    const part = new Part(document.createElement('p'))
    let built = 0
    const build = () => [String(++built)]
    part.show({ a: 1 }, build)
    part.show({ a: 1 }, build)
    expect(part.element.textContent).toBe('1')
    part.show({ a: 2 }, build)
    expect(part.element.textContent).toBe('2')
  })
  it('an old board says its age', () => {
    const s = screenOf(known({ live: 'lost' }), t0 + 720_000)
    expect(html(plainPart(s, words, clock))).toContain('最后更新 01:41:05，12 分钟前')
  })
})

it('both languages have the same texts with the same values', () => {
  expect(Object.keys(en)).toEqual(Object.keys(zh))
  const values = (s: string) => (s.match(/\{\w+\}/g) ?? []).sort()
  for (const k of Object.keys(zh) as (keyof typeof zh)[]) {
    expect([k, values(en[k])]).toEqual([k, values(zh[k])])
    expect([k, /\p{Script=Han}/u.test(en[k])]).toEqual([k, false])
  }
})

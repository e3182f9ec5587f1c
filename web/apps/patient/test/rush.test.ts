import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { enableAutoUnmount } from '@vue/test-utils'
import { ApiError } from '@xinglin/api'
import { api } from '../src/lib/api'
import { nextRelease } from '../src/lib/release'
import { comingVisits } from '../src/lib/visit'
import worker from '../src/sw.js?raw'
import CheckScreen from '../src/screens/CheckScreen.vue'
import DoctorScreen from '../src/screens/DoctorScreen.vue'
import { person, practitioner, schedule, slot, soon, visit } from './fixtures'
import { open, until } from './helpers'

enableAutoUnmount(afterEach)
beforeEach(() => {
  sessionStorage.clear()
  vi.restoreAllMocks()
  vi.spyOn(api, 'practitioner').mockResolvedValue(practitioner)
  vi.spyOn(api, 'schedules').mockResolvedValue({ items: [schedule] })
  vi.spyOn(api, 'slots').mockResolvedValue({ items: [slot] })
  vi.spyOn(api, 'patients').mockResolvedValue({ items: [person] })
})
afterEach(() => vi.useRealTimers())

const path = `/check/t1?schedule=s1&doctor=p1&day=${soon}&patient=pt1`
const busy = () => new ApiError({ code: 'batch.busy', status: 503, retryAfter: 1, title: 'B' })
async function confirm() {
  const opened = await open(CheckScreen, path)
  await until(() => opened.w.find('#agree').exists())
  await opened.w.get('#agree').setValue(true)
  await opened.w.get('.actionbar .btn--primary').trigger('click')
  return opened
}

describe('the waiting room', () => {
  it('is where the hold leads when it needs a pass, with the way back', async () => {
    vi.spyOn(api, 'book').mockRejectedValue(new ApiError({ code: 'admission.pass_needed', status: 403 }))
    const { w, router } = await confirm()
    await until(() => router.currentRoute.value.name === 'queue')
    expect(router.currentRoute.value.query).toEqual({ department: 'd1', schedule: 's1', back: `/m${path}`, lang: 'zh' })
    expect(router.currentRoute.value.query.back).toMatch(/^\/m\/[^\\]*$/) // what the queue page takes
    expect(w.find('.note--danger').exists()).toBe(false)
  })
  it('gives back the person, the time and the tick', async () => {
    sessionStorage.setItem(`intent:book:${JSON.stringify({ patient_id: 'pt1', slot_id: 't1' })}`, 'key')
    sessionStorage.setItem('xinglin.pass', JSON.stringify({ pass: 't', until: new Date(Date.now() + 100_000).toISOString(), department: 'd1' }))
    const book = vi.spyOn(api, 'book').mockResolvedValue({ ...visit, state: 'pending' })
    const { w, router } = await open(CheckScreen, path)
    await until(() => w.find('#agree').exists())
    expect((w.get('#agree').element as HTMLInputElement).checked).toBe(true)
    expect(w.get('[role=timer]').text()).toMatch(/^01:(39|40)$/)
    expect(book).not.toHaveBeenCalled() // nothing is taken before the person says so
    await w.get('.actionbar .btn--primary').trigger('click')
    await until(() => router.currentRoute.value.name === 'pay')
    expect(book).toHaveBeenCalledWith({ patient_id: 'pt1', slot_id: 't1' })
  })
  it('another wish brings no tick', async () => {
    sessionStorage.setItem(`intent:book:${JSON.stringify({ patient_id: 'pt1', slot_id: 't2' })}`, 'key')
    const { w } = await open(CheckScreen, path)
    await until(() => w.find('#agree').exists())
    expect((w.get('#agree').element as HTMLInputElement).checked).toBe(false)
  })
  it('is left to the network by the service worker, pages of the application are not', () => {
    const handlers: Record<string, (e: unknown) => void> = {}
    const source = worker.replace('__SHELL__', '[]')
    new Function('self', 'location', 'caches', 'fetch', source)({ addEventListener: (name: string, f: (e: unknown) => void) => (handlers[name] = f) }, { origin: 'http://h' }, {}, () => Promise.resolve())
    const taken = (url: string) => {
      const respondWith = vi.fn()
      handlers.fetch!({ request: { method: 'GET', mode: 'navigate', url }, respondWith })
      return respondWith.mock.calls.length > 0
    }
    expect(['http://h/m/queue?department=d', 'http://h/m/', 'http://h/m/queue/x'].map(taken)).toEqual([false, true, true])
  })
})

describe('a busy server', () => {
  it('is asked again by the page itself, which says so, until it answers', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], shouldAdvanceTime: true })
    const book = vi.spyOn(api, 'book').mockRejectedValueOnce(busy()).mockRejectedValueOnce(busy()).mockResolvedValue({ ...visit, state: 'pending' })
    const { w, router } = await confirm()
    await vi.advanceTimersByTimeAsync(50)
    expect(w.get('.note--warn').text()).toContain('正在继续为您尝试')
    expect(w.findAll('.actionbar .btn--primary')).toHaveLength(0)
    await vi.advanceTimersByTimeAsync(6_000)
    await vi.waitFor(() => expect(router.currentRoute.value.name).toBe('pay'))
    expect(book).toHaveBeenCalledTimes(3)
  })
  it('can be let be: the page stops, keeps everything and goes on when told to', async () => {
    const book = vi.spyOn(api, 'book').mockRejectedValueOnce(busy()).mockResolvedValue({ ...visit, state: 'pending' })
    const { w, router } = await confirm()
    await until(() => w.text().includes('正在继续为您尝试'))
    await w.get('.actionbar .btn').trigger('click')
    await until(() => w.find('.actionbar .btn--primary:not([disabled])').exists())
    expect(w.text()).toContain('已停止尝试')
    expect(w.text()).not.toContain('没有收到答复')
    expect((w.get('#agree').element as HTMLInputElement).checked).toBe(true)
    expect(book).toHaveBeenCalledTimes(1)
    await w.get('.actionbar .btn--primary').trigger('click')
    await until(() => router.currentRoute.value.name === 'pay')
  })
  it('has an end, which says what is known', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], shouldAdvanceTime: true })
    const book = vi.spyOn(api, 'book').mockRejectedValue(new ApiError({ code: 'client.timeout' }))
    const { w } = await confirm()
    await vi.advanceTimersByTimeAsync(120_000)
    await vi.waitFor(() => expect(w.text()).toContain('试了多次'))
    expect(book).toHaveBeenCalledTimes(8)
    expect(w.text()).toContain('没有收到答复')
    expect(w.get('.actionbar .btn--primary').text()).toBe('继续尝试')
  })
  it('does the work it asks for, once, and sends the same wish again', async () => {
    const book = vi.spyOn(api, 'book').mockRejectedValueOnce(new ApiError({ code: 'admission.challenge_needed', status: 403 })).mockResolvedValue({ ...visit, state: 'pending' })
    const prove = vi.spyOn(api, 'prove').mockResolvedValue(undefined)
    const { router } = await confirm()
    await until(() => router.currentRoute.value.name === 'pay')
    expect([book.mock.calls.length, prove.mock.calls.length]).toEqual([2, 1])
  })
})

describe('a lottery', () => {
  it('leads away from the booking, before and in it', async () => {
    vi.spyOn(api, 'schedules').mockResolvedValue({ items: [{ ...schedule, lottery: true }] })
    const { w } = await open(CheckScreen, path)
    await until(() => w.find('.actionbar a').exists())
    expect(w.get('.actionbar a').attributes('href')).toBe(`/m/lottery/s1?doctor=p1&day=${soon}`)
    expect(w.find('#agree').exists()).toBe(false)
  })
  it('that was announced meanwhile shows at the refusal', async () => {
    vi.spyOn(api, 'book').mockRejectedValue(new ApiError({ code: 'scheduling.lottery_open', status: 409 }))
    const { w } = await confirm()
    await until(() => w.find('.actionbar a').exists())
    expect(w.get('.actionbar a').attributes('href')).toContain('/m/lottery/s1')
  })
  it.each(['planned', 'open'] as const)('shows on the doctor page while %s, in place of times', async (state) => {
    vi.spyOn(api, 'schedules').mockResolvedValue({ items: [{ ...schedule, lottery: true, state }] })
    const slots = vi.spyOn(api, 'slots')
    const { w } = await open(DoctorScreen, '/doctors/p1')
    await until(() => w.find('main a.btn').exists())
    expect(w.get('main a.btn').attributes('href')).toBe(`/m/lottery/s1?doctor=p1&day=${soon}`)
    expect(w.get('.day').text()).toContain('抽签')
    expect(slots).not.toHaveBeenCalled()
  })
})

describe('the release', () => {
  const at = Date.parse(schedule.released_at)
  const planned = { ...schedule, state: 'planned' as const }
  it('is looked for just after it, by each page at another moment', () => {
    expect(nextRelease([schedule, planned], at - 60_000, () => 0)).toBe(60_300)
    expect(nextRelease([planned], at - 60_000, () => 1)).toBe(61_500)
    expect(nextRelease([planned], at + 5_000, () => 0)).toBe(300) // its clock is behind ours
  })
  it('does not make a page ask more often when there is none near', () => {
    expect(nextRelease([], 0)).toBe(300_000)
    expect(nextRelease([schedule], at)).toBe(300_000)
    expect(nextRelease([planned], at - 3_600_000)).toBe(300_000)
  })
})

describe('the visits to come', () => {
  const on = (date: string, id: string) => ({ ...visit, id, date })
  it('are read on, latest first, until the list has passed the day', async () => {
    const list = vi
      .spyOn(api, 'appointments')
      .mockResolvedValueOnce({ items: [on('2030-05-09', 'a'), on('2030-05-08', 'b')], next: 'c1' })
      .mockResolvedValueOnce({ items: [on('2030-05-06', 'c'), on('2030-05-05', 'd')], next: 'c2' })
    expect((await comingVisits('2030-05-06')).map((v) => v.id)).toEqual(['a', 'b', 'c'])
    expect(list.mock.calls.map(([q]) => q)).toEqual([{}, { cursor: 'c1' }])
  })
  it('have an end, whatever the list says', async () => {
    const list = vi.spyOn(api, 'appointments').mockResolvedValue({ items: [on('2030-05-09', 'a')], next: 'more' })
    await comingVisits('2030-05-06')
    expect(list).toHaveBeenCalledTimes(5)
  })
})

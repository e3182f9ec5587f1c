import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { enableAutoUnmount } from '@vue/test-utils'
import { ApiError, type Lottery, type LotteryEntry } from '@xinglin/api'
import { api } from '../src/lib/api'
import { enteredLotteries, forgetLotteries, rememberLottery } from '../src/lib/lotteries'
import { nextLook, phaseOf } from '../src/lib/lottery'
import { useSession } from '../src/lib/session'
import LotteryScreen from '../src/screens/LotteryScreen.vue'
import { person, schedule, slot, soon, visit } from './fixtures'
import { open, until } from './helpers'

const opens = Date.now()
const at = (s: number) => new Date(opens + s * 1000).toISOString()
const lottery: Lottery = { id: 's1', state: 'open', per: 'person', opens_at: at(-10), closes_at: at(50), commitment: 'c0ffee', witness_key: 'ab12', note_zh: 'NZ', note_en: 'NE', server_time: at(0) }
const receipt: LotteryEntry['receipt'] = { format: 'f', lottery: 's1', commitment: 'c0ffee', entry: 'e1', nonce: 'n', person: 'p', group: 'g', wishes: [], signature: 's' }
const entry: LotteryEntry = { id: 'e1', lottery_id: 's1', patient_id: 'pt1', slot_ids: [], state: 'waiting', receipt, created_at: at(0) }
const child = { ...person, id: 'pt2', name: 'C', relationship: 'child' as const }

enableAutoUnmount(afterEach)
beforeEach(() => {
  vi.restoreAllMocks()
  sessionStorage.clear()
  localStorage.clear()
  vi.spyOn(api, 'lottery').mockResolvedValue(lottery)
  vi.spyOn(api, 'lotteryEntries').mockResolvedValue({ items: [] })
  vi.spyOn(api, 'schedules').mockResolvedValue({ items: [schedule] })
  vi.spyOn(api, 'slots').mockResolvedValue({ items: [slot] })
  vi.spyOn(api, 'patients').mockResolvedValue({ items: [person, child] })
})

async function show(signedIn = true) {
  const opened = await open(LotteryScreen, `/lottery/s1?doctor=p1&day=${soon}`)
  if (signedIn) useSession().me = { account_id: 'a1', kind: 'patient', roles: [], session_id: 'x', factors: [], demo: false } as never
  await until(() => opened.w.find('[data-phase]').exists() && (!signedIn || !opened.w.text().includes('登录后报名')))
  return opened
}
const main = '.actionbar .btn--primary'

describe('a lottery by the clock', () => {
  const open = Date.parse(lottery.opens_at)
  const close = Date.parse(lottery.closes_at)
  it('follows its window, and the server from the seal on', () => {
    for (const state of ['announced', 'open'] as const)
      expect([open - 1, open, close - 1, close].map((t) => phaseOf({ ...lottery, state }, t))).toEqual(['announced', 'open', 'open', 'closing'])
    expect(phaseOf({ ...lottery, state: 'sealed' }, open - 1)).toBe('sealed')
  })
  it('is looked at rarely before the end, at scattered moments after it, and never again when done', () => {
    expect(nextLook(lottery, close - 600_000, () => 0)).toBe(60_000)
    expect(nextLook(lottery, close - 20_000, () => 0)).toBe(21_000)
    expect(nextLook(lottery, close - 20_000, () => 1)).toBe(24_000)
    expect(nextLook({ ...lottery, state: 'sealed' }, close, () => 0)).toBe(2_500)
    expect(nextLook({ ...lottery, state: 'drawn' }, close, () => 1)).toBe(5_000)
    expect(nextLook({ ...lottery, state: 'done' }, close)).toBe(false)
  })
})

describe('the lottery screen', () => {
  it('tells a guest what it is, and leads to the login and back', async () => {
    const { w } = await show(false)
    expect(w.text()).toContain('多点也没有用')
    expect(w.get(main).attributes('href')).toBe(`/m/login?next=/lottery/s1?doctor=p1%26day=${soon}`)
  })
  it('before its time says when, and takes nothing', async () => {
    vi.spyOn(api, 'lottery').mockResolvedValue({ ...lottery, state: 'announced', opens_at: at(600), closes_at: at(660) })
    const { w } = await show()
    await until(() => w.find(main).exists())
    expect(w.get(main).attributes('disabled')).toBeDefined()
    expect(w.get('[role=timer]').text()).toMatch(/^(09|10):\d\d$/)
  })
  it('enters one person with wishes in their order, once the notice is ticked', async () => {
    const enter = vi.spyOn(api, 'enterLottery').mockResolvedValue({ ...entry, patient_id: 'pt2' })
    vi.spyOn(api, 'slots').mockResolvedValue({ items: [slot, { ...slot, id: 't2' }] })
    const { w } = await show()
    await until(() => w.find('[data-slot=t2]').exists() && w.find('input[value=pt2]').exists())
    await w.get('input[value=pt2]').setValue(true)
    await w.get('[data-slot=t2]').trigger('click')
    await w.get('[data-slot=t1]').trigger('click')
    await w.get(main).trigger('click')
    await until(() => w.find('.note--danger').exists())
    expect(enter).not.toHaveBeenCalled()
    await w.get('#agree').setValue(true)
    await w.get(main).trigger('click')
    await until(() => w.find('[data-entry=waiting]').exists())
    expect(enter.mock.calls).toEqual([['s1', { patient_id: 'pt2', slot_ids: ['t2', 't1'] }]])
    expect(w.find('#agree').exists()).toBe(false) // entered: the form is away, another person is offered
    expect(enteredLotteries(soon)).toEqual([{ id: 's1', doctor: 'p1', day: soon }])
  })
  it('offers another person only when each person has an entry', async () => {
    vi.spyOn(api, 'lotteryEntries').mockResolvedValue({ items: [entry] })
    const each = await show()
    await until(() => each.w.find('[data-entry]').exists())
    expect(each.w.text()).toContain('为另一位就诊人报名')
    vi.spyOn(api, 'lottery').mockResolvedValue({ ...lottery, per: 'account' })
    const one = await show()
    await until(() => one.w.find('[data-entry]').exists())
    expect(one.w.text()).not.toContain('为另一位就诊人报名')
  })
  it('reads the entries again when the draw has moved', async () => {
    vi.spyOn(api, 'lottery').mockResolvedValueOnce({ ...lottery, closes_at: at(-1), state: 'sealed', entries: 9, seats: 3 }).mockResolvedValue({ ...lottery, closes_at: at(-1), state: 'done', entries: 9, seats: 3, winners: 3 })
    const list = vi.spyOn(api, 'lotteryEntries').mockResolvedValueOnce({ items: [entry] }).mockResolvedValue({ items: [{ ...entry, state: 'lost', rank: 7, of: 9 }] })
    const { w } = await show()
    await until(() => w.find('[data-entry=waiting]').exists())
    window.dispatchEvent(new Event('visibilitychange'))
    await until(() => w.find('[data-entry=lost]').exists())
    expect(w.get('[data-entry]').text()).toContain('7')
    expect(w.get(main).attributes('href')).toBe(`/m/doctors/p1?day=${soon}`)
    expect(list).toHaveBeenCalledTimes(2)
  })
  it('leads who won to the payment, and shows the refusal of who could not be booked', async () => {
    vi.spyOn(api, 'lottery').mockResolvedValue({ ...lottery, closes_at: at(-1), state: 'done', entries: 9, seats: 3, winners: 1 })
    vi.spyOn(api, 'lotteryEntries').mockResolvedValue({ items: [{ ...entry, state: 'won', appointment_id: 'a1' }, { ...entry, id: 'e2', patient_id: 'pt2', state: 'refused', reason: 'scheduling.limit_reached' }] })
    vi.spyOn(api, 'appointment').mockResolvedValue({ ...visit, state: 'pending' })
    const { w } = await show()
    await until(() => w.find(main).exists() && w.findAll('[data-entry]').length === 2)
    expect(w.get(main).attributes('href')).toBe('/m/pay/pay1')
    expect(w.get('[data-entry=refused]').text()).toContain('每人每天每科限一个')
  })
  it.each([
    [{ witness_key: 'ab12', witnessed: true }, '--witness-key KEY', false],
    [{ witness_key: 'ab12', witnessed: false }, '--allow-unwitnessed', true],
    [{ witness_key: '', witnessed: false }, '', true],
  ])('says how to check a draw with %j', async (w1, flag, warned) => {
    vi.spyOn(api, 'lottery').mockResolvedValue({ ...lottery, closes_at: at(-1), state: 'done', entries: 1, seats: 1, winners: 1, root: 'aa', seed: 'bb', ...w1 })
    vi.spyOn(api, 'lotteryEntries').mockResolvedValue({ items: [{ ...entry, state: 'lost', rank: 2, of: 2 }] })
    const { w } = await show()
    await until(() => w.find('[data-entry]').exists())
    const proof = w.get('[data-proof]')
    expect(proof.get('a').attributes('href')).toBe('/api/v1/lotteries/s1/proof')
    expect(proof.get('code').text()).toBe(['xinglin lottery verify lottery-s1.json', flag, '--receipt receipt-e1.json'].filter(Boolean).join(' '))
    expect(proof.find('.note--warn').exists()).toBe(warned)
    expect(proof.text()).toContain('NZ')
  })
  it('says so when the session has none', async () => {
    vi.spyOn(api, 'lottery').mockRejectedValue(new ApiError({ code: 'scheduling.not_found', status: 404 }))
    const { w } = await open(LotteryScreen, `/lottery/s1?doctor=p1&day=${soon}`)
    await until(() => w.find('.state').exists())
    expect(w.text()).toContain('这一场不抽签')
  })
})

describe('entered lotteries', () => {
  it('are kept each once, the newest first, until their day is over', () => {
    for (const [id, day] of [['a', '2030-01-01'], ['b', '2030-01-03'], ['a', '2030-01-02']] as const) rememberLottery({ id, doctor: 'd', day })
    expect(enteredLotteries('2030-01-02').map((e) => e.id)).toEqual(['a', 'b'])
    expect(enteredLotteries('2030-01-03').map((e) => e.id)).toEqual(['b'])
    forgetLotteries()
    expect(enteredLotteries('')).toEqual([])
  })
})

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { enableAutoUnmount } from '@vue/test-utils'
import { ApiError, type VisitTurn } from '@xinglin/api'
import { dayOf } from '@xinglin/ui'
import { api } from '../src/lib/api'
import { hasTurn, phaseOf } from '../src/lib/turn'
import VisitScreen from '../src/screens/VisitScreen.vue'
import { visit } from './fixtures'
import { open, until } from './helpers'

const t0 = Date.parse('2030-05-06T01:00:00Z')
const at = (minutes: number) => new Date(t0 + minutes * 60_000).toISOString()
const turn: VisitTurn = { state: 'expected', session_state: 'running', number_text: 'A018', position: 0, ahead: 0, location: '门诊楼 3 层 306 诊室', check_in_from: at(-60), check_in_until: at(60), can_check_in: true, calls: 0, server_time: at(0), version: 1 }

enableAutoUnmount(afterEach)
beforeEach(() => sessionStorage.clear())

describe('the phase of a turn', () => {
  it.each([
    ['early', { can_check_in: false, check_in_from: at(1) }],
    ['open', {}],
    ['late', { can_check_in: false, check_in_until: at(-1) }],
    ['waiting', { state: 'waiting' }],
    ['called', { state: 'called' }],
    ['missed', { state: 'missed', can_check_in: false }],
    ['over', { state: 'done' }],
    ['over', { state: 'gone' }],
  ] as const)('%s', (phase, more) => expect(phaseOf({ ...turn, ...more }, t0)).toBe(phase))
})

it('only a visit of the day that is to come has a place in the line', () => {
  const day = dayOf(t0)
  expect(hasTurn({ ...visit, date: day }, t0)).toBe(true)
  expect(hasTurn({ ...visit, date: day, state: 'arrived' }, t0)).toBe(true)
  expect(hasTurn({ ...visit, date: day, state: 'pending' }, t0)).toBe(false)
  expect(hasTurn({ ...visit, date: '2030-05-07' }, t0)).toBe(false)
  expect(hasTurn({ ...visit, date: day, patient_id: '' }, t0)).toBe(false) // a copy of the device
  expect(hasTurn(undefined, t0)).toBe(false)
})

describe('checking in', () => {
  const today = () => ({ ...visit, date: dayOf(Date.now()), payment_id: undefined })
  const shown = async (more: Partial<VisitTurn>) => {
    vi.spyOn(api, 'appointment').mockImplementation(() => Promise.resolve(today()))
    vi.spyOn(api, 'turn').mockResolvedValue({ ...turn, check_in_until: new Date(Date.now() + 3_600_000).toISOString(), ...more })
    const { w } = await open(VisitScreen, '/visits/a1')
    await until(() => w.find('[data-turn]').exists())
    return w
  }
  it('is one call however often it is tapped, and leads into the line', async () => {
    const call = vi.spyOn(api, 'checkIn').mockImplementation(() => {
      vi.mocked(api.turn).mockResolvedValue({ ...turn, state: 'waiting', ahead: 3, position: 4, can_check_in: false })
      return Promise.resolve({ ...turn, state: 'waiting', ahead: 3, position: 4, can_check_in: false })
    })
    const w = await shown({})
    void w.get('[data-check-in]').trigger('click')
    void w.get('[data-check-in]').trigger('click')
    await until(() => w.find('[data-turn=waiting]').exists())
    expect(call).toHaveBeenCalledTimes(1)
    expect(w.find('[data-check-in]').exists()).toBe(false)
  })
  it('says why it was refused', async () => {
    vi.spyOn(api, 'checkIn').mockRejectedValue(new ApiError({ code: 'clinic.too_early', status: 409, title: '还没到签到时间', traceId: 'abc' }))
    const w = await shown({})
    await w.get('[data-check-in]').trigger('click')
    await until(() => w.find('.note--danger').exists())
    expect(w.text()).toContain('还没到签到时间')
    expect(w.text()).toContain('abc')
  })
  it('the call names the room by itself', async () => {
    const w = await shown({ state: 'called', can_check_in: false })
    expect(w.get('.room').text()).toBe('306 诊室')
    expect(w.get('.way').text()).toBe('门诊楼 3 层')
    expect(w.get('.called').attributes('role')).toBe('alert')
  })
  it('a missed one may come back where the server allows it', async () => {
    expect((await shown({ state: 'missed', can_check_in: true })).find('[data-check-in]').exists()).toBe(true)
    document.body.innerHTML = ''
    expect((await shown({ state: 'missed', can_check_in: false })).find('[data-check-in]').exists()).toBe(false)
  })
})

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ApiError } from '@xinglin/api'
import { api } from '../src/lib/api'
import CancelScreen from '../src/screens/CancelScreen.vue'
import CheckScreen from '../src/screens/CheckScreen.vue'
import PayScreen from '../src/screens/PayScreen.vue'
import VisitsScreen from '../src/screens/VisitsScreen.vue'
import { payment, person, practitioner, schedule, slot, soon, visit } from './fixtures'
import { open, until } from './helpers'

beforeEach(() => {
  sessionStorage.clear()
  vi.spyOn(api, 'practitioner').mockResolvedValue(practitioner)
  vi.spyOn(api, 'schedules').mockResolvedValue({ items: [schedule] })
  vi.spyOn(api, 'slots').mockResolvedValue({ items: [slot] })
  vi.spyOn(api, 'patients').mockResolvedValue({ items: [person] })
})
afterEach(() => (document.body.innerHTML = ''))

const path = `/check/t1?schedule=s1&doctor=p1&day=${soon}&patient=pt1`

describe('check', () => {
  it('sends nothing before the notice is ticked, then books once and goes to pay', async () => {
    const book = vi.spyOn(api, 'book').mockResolvedValue({ ...visit, state: 'pending' })
    const { w, router } = await open(CheckScreen, path)
    await until(() => w.find('#agree').exists())
    expect((w.get('#agree').element as HTMLInputElement).checked).toBe(false)
    await w.get('.actionbar .btn--primary').trigger('click')
    await until(() => w.find('.note--danger').exists())
    expect(book).not.toHaveBeenCalled()
    await w.get('#agree').setValue(true)
    await w.get('.actionbar .btn--primary').trigger('click')
    await w.get('.actionbar .btn--primary').trigger('click')
    await until(() => router.currentRoute.value.name === 'pay')
    expect(book).toHaveBeenCalledTimes(1)
    expect(book).toHaveBeenCalledWith({ patient_id: 'pt1', slot_id: 't1' })
  })
  it('skips the payment when the number is free of charge', async () => {
    vi.spyOn(api, 'book').mockResolvedValue({ ...visit, state: 'booked', fee_fen: 0, payment_id: undefined })
    const { w, router } = await open(CheckScreen, path)
    await until(() => w.find('#agree').exists())
    await w.get('#agree').setValue(true)
    await w.get('.actionbar .btn--primary').trigger('click')
    await until(() => router.currentRoute.value.name === 'done')
  })
  it('offers another time when the slot was lost, keeping the person', async () => {
    vi.spyOn(api, 'book').mockRejectedValue(new ApiError({ code: 'scheduling.slot_taken', status: 409 }))
    const { w } = await open(CheckScreen, path)
    await until(() => w.find('#agree').exists())
    await w.get('#agree').setValue(true)
    await w.get('.actionbar .btn--primary').trigger('click')
    await until(() => w.find('.note--warn').exists())
    expect(w.get('.actionbar a.btn--primary').attributes('href')).toBe(`/m/doctors/p1?day=${soon}&patient=pt1`)
    expect(w.find('.actionbar button.btn--primary').exists()).toBe(false)
  })
  it('sees that the time is gone before anything is sent', async () => {
    vi.spyOn(api, 'slots').mockResolvedValue({ items: [{ ...slot, remaining: 0, state: 'full' }] })
    const { w } = await open(CheckScreen, path)
    await until(() => w.find('.note--warn').exists())
    expect(w.find('.actionbar a.btn--primary').exists()).toBe(true)
  })
})

describe('pay', () => {
  beforeEach(() => vi.spyOn(api, 'appointment').mockResolvedValue({ ...visit, state: 'pending' }))
  it('counts down by the server and offers one payment', async () => {
    vi.spyOn(api, 'payment').mockResolvedValue({ ...payment, expires_at: new Date(Date.now() + 272_000).toISOString() })
    const { w } = await open(PayScreen, '/pay/pay1')
    await until(() => w.find('[role=timer]').exists())
    expect(w.get('[role=timer]').text()).toMatch(/^04:3[0-3]$/)
    expect(w.findAll('.btn--primary')).toHaveLength(1)
  })
  it('after the cashier it checks, asks the channel, and offers no payment', async () => {
    vi.spyOn(api, 'payment').mockResolvedValue({ ...payment, expires_at: new Date(Date.now() + 272_000).toISOString() })
    const ask = vi.spyOn(api, 'queryPayment').mockResolvedValue({ ...payment, state: 'paid' })
    const { w, router } = await open(PayScreen, '/pay/pay1?back=1')
    await until(() => w.find('.note--warn').exists())
    expect(w.find('.btn--primary').exists()).toBe(false)
    await until(() => router.currentRoute.value.name === 'done')
    expect(ask).toHaveBeenCalledTimes(1)
  })
  it.each(['closed', 'refunded'] as const)('says it plainly when the payment is %s', async (state) => {
    vi.spyOn(api, 'payment').mockResolvedValue({ ...payment, state })
    const { w } = await open(PayScreen, '/pay/pay1')
    await until(() => w.find('.state').exists())
    expect(w.find('.actionbar').exists()).toBe(false)
  })
})

describe('cancel', () => {
  it('says what is refunded, sends the version, and goes to the refund', async () => {
    vi.spyOn(api, 'appointment').mockResolvedValue(visit)
    const cancel = vi.spyOn(api, 'cancelAppointment').mockResolvedValue({ ...visit, state: 'cancelled', refund_state: 'requested' })
    const { w, router } = await open(CancelScreen, '/visits/a1/cancel')
    await until(() => w.find('[data-cancel]').exists())
    expect(w.get('[data-refund]').text()).toContain('¥25.00')
    await w.get('[data-cancel]').trigger('click')
    await until(() => router.currentRoute.value.name === 'refund')
    expect(cancel).toHaveBeenCalledWith('a1', 3)
  })
  it('shows the new truth when the visit changed meanwhile', async () => {
    vi.spyOn(api, 'appointment').mockResolvedValue(visit)
    vi.spyOn(api, 'cancelAppointment').mockRejectedValue(new ApiError({ code: 'platform.stale', status: 412 }))
    const { w, router } = await open(CancelScreen, '/visits/a1/cancel')
    await until(() => w.find('[data-cancel]').exists())
    await w.get('[data-cancel]').trigger('click')
    await until(() => w.find('.note--warn').exists())
    expect(router.currentRoute.value.name).toBe('cancel')
  })
})

describe('states of a list', () => {
  it('skeleton first, then an error with the request id, then a retry that works', async () => {
    const list = vi.spyOn(api, 'appointments').mockRejectedValueOnce(new ApiError({ code: 'x.y', status: 400, title: 'T', traceId: 'abc123' }))
    const { w } = await open(VisitsScreen, '/visits')
    expect(w.find('.skel').exists()).toBe(true)
    await until(() => w.find('.state--warn').exists())
    expect(w.text()).toContain('abc123')
    list.mockResolvedValueOnce({ items: [] })
    await w.get('.state--warn button').trigger('click')
    await until(() => w.find('.state').exists() && !w.find('.state--warn').exists())
    expect(w.find('main .btn--primary').exists()).toBe(true)
  })
  it('after 10 s says that it is still loading, and can be given up', async () => {
    vi.useFakeTimers()
    try {
      vi.spyOn(api, 'appointments').mockReturnValue(new Promise(() => undefined))
      const { w } = await open(VisitsScreen, '/visits')
      await vi.advanceTimersByTimeAsync(9_000)
      expect(w.find('main .btn').exists()).toBe(false)
      await vi.advanceTimersByTimeAsync(1_500)
      await w.get('main .btn').trigger('click')
      expect(w.find('.state--warn').exists()).toBe(true)
      expect(w.find('.skel').exists()).toBe(false)
    } finally {
      vi.useRealTimers()
    }
  })
})

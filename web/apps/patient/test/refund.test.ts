import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { enableAutoUnmount } from '@vue/test-utils'
import type { Appointment, Payment } from '@xinglin/api'
import { i18n } from '../src/i18n'
import { api } from '../src/lib/api'
import { wayOf } from '../src/lib/refund'
import CancelScreen from '../src/screens/CancelScreen.vue'
import PayScreen from '../src/screens/PayScreen.vue'
import RefundScreen from '../src/screens/RefundScreen.vue'
import { payment, practitioner, visit } from './fixtures'
import { open, until } from './helpers'

enableAutoUnmount(afterEach)
beforeEach(() => {
  sessionStorage.clear()
  vi.spyOn(api, 'practitioner').mockResolvedValue(practitioner)
})
afterEach(() => (document.body.innerHTML = ''))

const { t } = i18n.global
const ways = { online: t('refund.way.online'), cash: t('refund.way.cash'), unknown: t('refund.way.unknown') }
const channels: [Payment['channel'], keyof typeof ways][] = [['wechat', 'online'], ['cash', 'cash'], ['', 'unknown']]
const cancelled: Appointment = { ...visit, state: 'cancelled', cancel_reason: 'patient', cancellable: false, refund_state: 'requested' }

/** Only the money's own way is told, and none of the others. */
function tells(text: string, way: keyof typeof ways) {
  for (const [w, words] of Object.entries(ways)) expect([w, text.includes(words)]).toEqual([w, w === way])
}

it('money goes back as it came', () => {
  for (const [channel, way] of channels) expect(wayOf(channel)).toBe(way)
  expect(wayOf(undefined)).toBe('unknown')
})

describe('the way of a refund', () => {
  it.each(channels)('before cancelling a visit paid by "%s" is told as %s', async (channel, way) => {
    vi.spyOn(api, 'appointment').mockResolvedValue(visit)
    vi.spyOn(api, 'payment').mockResolvedValue({ ...payment, state: 'paid', channel })
    const { w } = await open(CancelScreen, '/visits/a1/cancel')
    await until(() => w.find('[data-refund]').exists() && w.get('[data-refund]').text().includes(ways[way]))
    tells(w.get('[data-refund]').text(), way)
  })
  it.each(channels)('while a refund of "%s" is under way is told as %s', async (channel, way) => {
    vi.spyOn(api, 'appointment').mockResolvedValue(cancelled)
    vi.spyOn(api, 'payment').mockResolvedValue({ ...payment, state: 'refunding', channel })
    vi.spyOn(api, 'refunds').mockResolvedValue({ items: [{ id: 'r1', amount_fen: 2500, reason: 'cancelled', state: 'requested', created_at: visit.created_at }] })
    const { w } = await open(RefundScreen, '/visits/a1/refund')
    await until(() => w.find('[data-refund-state=open]').exists() && w.text().includes(ways[way]))
    tells(w.text(), way)
    expect(w.text().includes(t('refund.openCash'))).toBe(way === 'cash')
    expect(w.text().includes(t('refund.openNote'))).toBe(way !== 'cash')
  })
  it.each(channels)('on the page of a payment by "%s" that went back is told as %s', async (channel, way) => {
    vi.spyOn(api, 'appointment').mockResolvedValue(cancelled)
    vi.spyOn(api, 'payment').mockResolvedValue({ ...payment, state: 'refunding', channel })
    const { w } = await open(PayScreen, '/pay/pay1')
    await until(() => w.text().includes(ways[way]))
    tells(w.text(), way)
  })
})

describe('a visit that the window booked, whose payment is not the account\'s', () => {
  const windows: Appointment = { ...visit, payment_id: undefined }
  it('is cancelled with the cash collected at the window', async () => {
    const ask = vi.spyOn(api, 'payment')
    vi.spyOn(api, 'appointment').mockResolvedValue(windows)
    const { w } = await open(CancelScreen, '/visits/a1/cancel')
    await until(() => w.find('[data-refund]').exists())
    tells(w.get('[data-refund]').text(), 'cash')
    expect(ask).not.toHaveBeenCalled()
  })
  it.each([['requested', 'open'], ['done', 'done']] as const)('shows the refund that the visit tells of: %s', async (refund_state, shown) => {
    const ask = vi.spyOn(api, 'refunds')
    vi.spyOn(api, 'appointment').mockResolvedValue({ ...windows, state: 'cancelled', refund_state })
    const { w } = await open(RefundScreen, '/visits/a1/refund')
    await until(() => w.find(`[data-refund-state=${shown}]`).exists())
    expect(w.text()).toContain('¥25.00')
    tells(w.text(), 'cash')
    expect(ask).not.toHaveBeenCalled()
  })
  it('says when there is nothing to refund', async () => {
    vi.spyOn(api, 'appointment').mockResolvedValue({ ...windows, state: 'cancelled', refund_state: 'none' })
    const { w } = await open(RefundScreen, '/visits/a1/refund')
    await until(() => w.text().includes(t('refund.none')))
    expect(w.find('[data-refund-state]').exists()).toBe(false)
  })
})

import { serverNow, type Appointment, type Patient } from '@xinglin/api'
import type { IconName } from '@xinglin/ui'
import type { RouteLocationRaw } from 'vue-router'
import { isKept } from './keptAt'

/** Something that waits for the person, most urgent first. `n` and `at` are for its words. */
export interface Todo {
  kind: 'pay' | 'nobody' | 'verify' | 'refund' | 'lottery' | 'more'
  icon: IconName
  to: RouteLocationRaw
  at?: string
  n?: number
}

const most = 4

/** What waits, besides the visit that the page shows already. */
export function todosOf(visits: Appointment[], shown: string | undefined, people: Patient[] | undefined, lottery: RouteLocationRaw | undefined): Todo[] {
  const now = serverNow()
  const mine = visits.filter((a) => !isKept(a) && a.id !== shown)
  const out: Todo[] = []
  for (const a of mine)
    if (a.state === 'pending' && a.payment_id && a.hold_expires_at && Date.parse(a.hold_expires_at) > now) out.push({ kind: 'pay', icon: 'clock', to: { name: 'pay', params: { id: a.payment_id } }, at: a.hold_expires_at })
  if (people && people.length === 0) out.push({ kind: 'nobody', icon: 'users', to: { name: 'person-new', query: { next: '/' } } })
  const unverified = people?.filter((p) => p.verified !== 'verified') ?? []
  if (unverified.length) out.push({ kind: 'verify', icon: 'shield', to: unverified.length === 1 ? { name: 'person', params: { id: unverified[0]!.id } } : { name: 'people' }, n: unverified.length })
  if (lottery) out.push({ kind: 'lottery', icon: 'ticket', to: lottery })
  const refunding = mine.filter((a) => a.refund_state === 'requested')
  if (refunding.length) out.push({ kind: 'refund', icon: 'refresh', to: { name: 'refund', params: { id: refunding[0]!.id } } })
  const more = mine.filter((a) => (a.state === 'booked' || a.state === 'arrived') && Date.parse(a.ends_at) > now)
  if (more.length) out.push({ kind: 'more', icon: 'cal', to: { name: 'visits', query: { state: 'booked' } }, n: more.length })
  return out.slice(0, most)
}

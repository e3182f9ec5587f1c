import type { Schedule } from '@xinglin/api'
import type { IconName } from '@xinglin/ui'

/** How a session of the rota is shown. */
export const scheduleLook: Record<Schedule['state'], { icon: IconName; tone?: 'ok' | 'warn' | 'danger' | 'info' | 'brand' }> = {
  planned: { icon: 'clock' },
  open: { icon: 'check', tone: 'ok' },
  full: { icon: 'users', tone: 'warn' },
  stopped: { icon: 'stop', tone: 'danger' },
  ended: { icon: 'check' },
}

/** Weekdays as RFC 5545 names them, from Monday. */
export const weekdays = ['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'] as const

/** The weekdays of a weekly rule; null for any other recurrence, which is edited as text. */
export function weeklyDays(rrule: string): string[] | null {
  const parts = new Map(rrule.split(';').map((p) => p.split('=') as [string, string]))
  const interval = parts.get('INTERVAL') ?? '1'
  const known = [...parts.keys()].every((k) => ['FREQ', 'BYDAY', 'INTERVAL'].includes(k))
  if (parts.get('FREQ') !== 'WEEKLY' || interval !== '1' || !known) return null
  const days = (parts.get('BYDAY') ?? '').split(',').filter(Boolean)
  return days.length && days.every((d) => (weekdays as readonly string[]).includes(d)) ? days : null
}

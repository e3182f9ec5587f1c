import type { IconName } from '@xinglin/ui'

type Look = { icon: IconName; tone?: 'ok' | 'warn' | 'danger' | 'info' | 'brand' }
const looks: Record<string, Look> = {
  open: { icon: 'clock' },
  paid: { icon: 'check', tone: 'ok' },
  closed: { icon: 'close' },
  refunding: { icon: 'refresh', tone: 'info' },
  refunded: { icon: 'back' },
  requested: { icon: 'clock', tone: 'warn' },
  processing: { icon: 'refresh', tone: 'info' },
  done: { icon: 'check', tone: 'ok' },
  failed: { icon: 'warn', tone: 'danger' },
}

/** How the state of a payment or a refund is shown. */
export const moneyLook = (state: string): Look => looks[state] ?? { icon: 'info' }

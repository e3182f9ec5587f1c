import type { SessionState, TurnState } from '@xinglin/api'
import type { IconName } from '@xinglin/ui'

type Look = { icon: IconName; tone?: 'ok' | 'warn' | 'danger' | 'info' | 'brand' }

/** How a running session's state is shown. */
export const sessionLook: Record<SessionState, Look> = {
  planned: { icon: 'clock' },
  running: { icon: 'pulse', tone: 'ok' },
  paused: { icon: 'clock', tone: 'warn' },
  ended: { icon: 'check' },
  stopped: { icon: 'stop', tone: 'danger' },
}

/** How a turn's state is shown. */
export const turnLook: Record<TurnState, Look> = {
  expected: { icon: 'clock' },
  waiting: { icon: 'users', tone: 'info' },
  called: { icon: 'bell', tone: 'brand' },
  missed: { icon: 'warn', tone: 'warn' },
  done: { icon: 'check', tone: 'ok' },
  gone: { icon: 'close' },
}

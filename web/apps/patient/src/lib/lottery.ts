import type { Lottery } from '@xinglin/api'

/** Where a lottery stands by the clock: between the end of its window and the seal the list is being closed. */
export type Phase = 'announced' | 'open' | 'closing' | 'sealed' | 'drawn' | 'done'

export function phaseOf(l: Lottery, now: number): Phase {
  if (l.state !== 'announced' && l.state !== 'open') return l.state
  if (now < Date.parse(l.opens_at)) return 'announced'
  return now < Date.parse(l.closes_at) ? 'open' : 'closing'
}

/**
 * Milliseconds until the next look at a lottery; false when nothing can change any more. Window and commitment are fixed, so nothing is
 * asked in it but once a minute; after it everybody wants to know at once, so each comes at a moment of its own.
 */
export function nextLook(l: Lottery, now: number, random: () => number = Math.random): number | false {
  if (l.state === 'done') return false
  const left = Date.parse(l.closes_at) - now
  return left > 0 ? Math.min(60_000, left + 1_000 + random() * 3_000) : 2_500 + random() * 2_500
}

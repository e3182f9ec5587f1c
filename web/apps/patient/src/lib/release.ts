import type { Schedule } from '@xinglin/api'

const calm = 300_000

/** Milliseconds until sessions are worth another look: a moment after the next release, each page at a moment of its own, else 5 min. */
export function nextRelease(list: Schedule[], now: number, random: () => number = Math.random): number {
  const next = Math.min(...list.filter((s) => s.state === 'planned').map((s) => Date.parse(s.released_at) - now))
  return Math.min(calm, Math.max(0, next) + 300 + random() * 1_200)
}

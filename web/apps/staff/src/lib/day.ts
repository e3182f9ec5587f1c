import { serverNow } from '@xinglin/api'
import { addDays, dayOf } from '@xinglin/ui'

/** Today in the hospital, YYYY-MM-DD, by the server's clock. */
export const today = () => dayOf(serverNow())

/** The Monday of a day's week. */
export function monday(day: string): string {
  const n = (new Date(`${day}T00:00:00Z`).getUTCDay() + 6) % 7
  return addDays(day, -n)
}

/** Yuan as typed ("12", "12.5", "12.50") to fen; NaN when it is no amount. No floats on the way. */
export function fenOf(text: string): number {
  const m = /^(\d{1,7})(?:\.(\d{1,2}))?$/.exec(text.trim())
  return m ? Number(m[1]) * 100 + Number((m[2] ?? '').padEnd(2, '0')) : Number.NaN
}

/** Fen as a person would type them: 1250 -> 12.50. */
export const yuanOf = (fen: number): string => `${Math.floor(fen / 100)}.${String(fen % 100).padStart(2, '0')}`

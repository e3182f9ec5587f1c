import { serverNow } from './clock'

/** What the waiting room's page leaves for the booking, in this tab only. */
export interface Pass {
  pass: string
  /** Until when it is good, RFC 3339 by the server's clock. */
  until: string
  department: string
}

const slot = 'xinglin.pass'

/** The pass that is good now. One that is over, or is none, is dropped. */
export function heldPass(store: Pick<Storage, 'getItem' | 'removeItem'>, nowMs: number = serverNow()): Pass | null {
  const text = store.getItem(slot)
  if (text === null) return null
  try {
    const p = JSON.parse(text) as Partial<Pass> | null
    if (p && typeof p.pass === 'string' && p.pass && typeof p.until === 'string' && Date.parse(p.until) > nowMs) return { pass: p.pass, until: p.until, department: p.department ?? '' }
  } catch {
    // not ours
  }
  store.removeItem(slot)
  return null
}

export function dropPass(store: Pick<Storage, 'removeItem'>): void {
  store.removeItem(slot)
}

import { ApiError } from './errors'
import { serverNow } from './clock'

/** A UUID of version 7: 48 bits of milliseconds, then random. */
export function uuidv7(nowMs: number = serverNow()): string {
  const b = crypto.getRandomValues(new Uint8Array(16))
  let ms = Math.floor(nowMs)
  for (let i = 5; i >= 0; i--) {
    b[i] = ms % 256
    ms = Math.floor(ms / 256)
  }
  b[6] = (b[6]! & 0x0f) | 0x70
  b[8] = (b[8]! & 0x3f) | 0x80
  const hex = Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** Keeps one idempotency key for each thing a person wants, so that a retry after a lost answer is the same request. */
export class Intents {
  private readonly store: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>

  constructor(store: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>) {
    this.store = store
  }

  /** The key of an intent; name must spell out all that is wanted (same name, same request body). */
  key(name: string): string {
    const slot = `intent:${name}`
    const known = this.store.getItem(slot)
    if (known) return known
    const fresh = uuidv7()
    this.store.setItem(slot, fresh)
    return fresh
  }

  /** Whether an intent was begun and its outcome is not known yet. */
  has(name: string): boolean {
    return this.store.getItem(`intent:${name}`) !== null
  }

  /** Runs a call under the intent's key. The key is dropped as soon as the outcome is known, for good or bad; it outlives a refusal at the door. */
  async run<T>(name: string, call: (key: string) => Promise<T>): Promise<T> {
    try {
      const result = await call(this.key(name))
      this.store.removeItem(`intent:${name}`)
      return result
    } catch (e) {
      if (e instanceof ApiError && e.settled && !e.atDoor) this.store.removeItem(`intent:${name}`)
      throw e
    }
  }
}

/** A store in memory, where the browser refuses sessionStorage. */
export function memoryStore(): Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> {
  const m = new Map<string, string>()
  return {
    getItem: (k) => m.get(k) ?? null,
    setItem: (k, v) => void m.set(k, v),
    removeItem: (k) => void m.delete(k),
  }
}

/** sessionStorage where it works, memory elsewhere. */
export function sessionStore(): Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> {
  try {
    sessionStorage.setItem('probe', '1')
    sessionStorage.removeItem('probe')
    return sessionStorage
  } catch {
    return memoryStore()
  }
}

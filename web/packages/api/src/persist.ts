import { ApiError } from './errors'

/** A pause between two tries. */
export interface Pause {
  /** How many tries were made, of how many at most. */
  made: number
  of: number
  /** When the next one begins, in milliseconds of this device's clock. */
  until: number
}

export interface Persistence {
  signal: AbortSignal
  onPause: (pause: Pause | null) => void
  tries?: number
  random?: () => number
}

/** The longest that the server may ask for and still have us come again by ourselves, in seconds. */
const longest = 60

/**
 * Milliseconds before the next try, from how many were made: 1, 2, 4, 8 s, or what the server asks for when that is more. Up to half of
 * it again is jitter, so that those who were refused together do not come back together; never less than was asked for.
 */
export function pauseAfter(made: number, retryAfter: number, random: () => number): number {
  const seconds = Math.max(retryAfter, Math.min(8, 2 ** (made - 1)))
  return seconds * 1_000 * (1 + random() / 2)
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
  })
}

/**
 * Makes a call again while the answer is that too many people ask, or there is none. After the last try, or when the signal ends it
 * between two tries, the last failure is thrown. A call that is on its way is waited for: its answer is what counts.
 */
export async function persist<T>(call: () => Promise<T>, options: Persistence): Promise<T> {
  const of = options.tries ?? 8
  for (let made = 1; ; made++) {
    try {
      return await call()
    } catch (e) {
      if (!(e instanceof ApiError) || !e.passing || e.retryAfter > longest || made >= of || options.signal.aborted) throw e
      const ms = pauseAfter(made, e.retryAfter, options.random ?? Math.random)
      options.onPause({ made, of, until: Date.now() + ms })
      await sleep(ms, options.signal)
      options.onPause(null)
      if (options.signal.aborted) throw e
    }
  }
}

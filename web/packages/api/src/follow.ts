import { backoff, StreamParser, type LiveState, type StreamEvent } from './live'

export interface FollowOptions {
  /** Path and query of a stream of server-sent events. */
  url: string
  onEvent: (event: StreamEvent) => void
  onState: (state: LiveState) => void
  fetch?: typeof fetch
  /** A connection without a word for this long is taken for dead; the server's heartbeat is 15 s. */
  silenceMs?: number
  delay?: (attempt: number) => number
}

/** Follows one stream until the returned function is called. It comes back by itself after a loss, ever more slowly. */
export function follow(options: FollowOptions): () => void {
  const base = options.fetch ?? ((...a: Parameters<typeof fetch>) => globalThis.fetch(...a))
  const state: LiveState = { status: 'connecting', heardAt: 0, lostSince: 0 }
  let stopped = false
  let attempt = 0
  let lastId = ''
  let current: AbortController | undefined
  let wake: (() => void) | undefined
  const tell = (change: Partial<LiveState>) => {
    Object.assign(state, change)
    if (!stopped) options.onState({ ...state })
  }

  async function connect(): Promise<void> {
    const control = new AbortController()
    current = control
    let silence: ReturnType<typeof setTimeout> | undefined
    const heard = () => {
      clearTimeout(silence)
      silence = setTimeout(() => control.abort(), options.silenceMs ?? 20_000)
    }
    heard()
    try {
      const headers: Record<string, string> = { Accept: 'text/event-stream', ...(lastId ? { 'Last-Event-ID': lastId } : {}) }
      const response = await base(options.url, { signal: control.signal, headers, credentials: 'same-origin', cache: 'no-store' })
      if (!response.ok || !response.body) return
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      const parser = new StreamParser()
      attempt = 0
      tell({ status: 'live', heardAt: Date.now(), lostSince: 0 })
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        heard()
        tell({ heardAt: Date.now() })
        for (const e of parser.push(value)) {
          if (e.id) lastId = e.id
          options.onEvent(e)
        }
      }
    } catch {
      // The state below tells of a broken stream, and the loop tries again.
    } finally {
      clearTimeout(silence)
      control.abort()
    }
  }

  void (async () => {
    while (!stopped) {
      await connect()
      if (stopped) return
      tell({ status: 'lost', lostSince: state.lostSince || Date.now() })
      const pause = (options.delay ?? backoff)(attempt++)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  })()

  const hurry = () => wake?.()
  globalThis.addEventListener?.('online', hurry)
  return () => {
    stopped = true
    globalThis.removeEventListener?.('online', hurry)
    current?.abort()
    wake?.()
  }
}

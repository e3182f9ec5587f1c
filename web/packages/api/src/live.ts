import type { LiveCount } from './types'

/** What a reader of live data must know: is it live, and if not, since when is the last word. */
export interface LiveState {
  status: 'connecting' | 'live' | 'lost'
  /** When the server was last heard, a heartbeat included; milliseconds of this device's clock, 0 before the first. */
  heardAt: number
  /** When the connection broke, 0 while it is up. */
  lostSince: number
}

export interface StreamEvent {
  id: string
  event: string
  data: string
}

/** Cuts a text/event-stream into events. Comments (heartbeats) produce none. Feed it pieces in order. */
export class StreamParser {
  private rest = ''
  private id = ''

  push(piece: string): StreamEvent[] {
    const out: StreamEvent[] = []
    const blocks = (this.rest + piece).replace(/\r\n?/g, '\n').split('\n\n')
    this.rest = blocks.pop() ?? ''
    for (const block of blocks) {
      let event = 'message'
      const data: string[] = []
      for (const line of block.split('\n')) {
        const colon = line.indexOf(':')
        if (colon === 0) continue
        const field = colon < 0 ? line : line.slice(0, colon)
        const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
        if (field === 'id') this.id = value
        else if (field === 'event') event = value
        else if (field === 'data') data.push(value)
      }
      if (data.length > 0) out.push({ id: this.id, event, data: data.join('\n') })
    }
    return out
  }
}

/** Milliseconds before the nth try (from 0): doubling from 1 s to 30 s, each between half and whole of it. */
export function backoff(attempt: number, random: () => number = Math.random): number {
  const whole = Math.min(30_000, 1_000 * 2 ** Math.min(attempt, 5))
  return whole / 2 + (random() * whole) / 2
}

export interface LiveOptions {
  ids: string[]
  onCount: (count: LiveCount) => void
  onState: (state: LiveState) => void
  baseUrl?: string
  fetch?: typeof fetch
  /** A connection without a word for this long is taken for dead; the server's heartbeat is 15 s. */
  silenceMs?: number
  delay?: (attempt: number) => number
}

/** Follows the counts of some sessions until the returned function is called. */
export function followCounts(options: LiveOptions): () => void {
  const base = options.fetch ?? ((...a: Parameters<typeof fetch>) => globalThis.fetch(...a))
  const state: LiveState = { status: 'connecting', heardAt: 0, lostSince: 0 }
  const url = `${options.baseUrl ?? ''}/api/v1/schedules/live?ids=${options.ids.map(encodeURIComponent).join(',')}`
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
      const headers: Record<string, string> = { Accept: 'text/event-stream' }
      if (lastId) headers['Last-Event-ID'] = lastId
      const response = await base(url, { signal: control.signal, headers, credentials: 'same-origin', cache: 'no-store' })
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
          if (e.event === 'count') options.onCount(JSON.parse(e.data) as LiveCount)
        }
      }
    } catch {
      // A broken stream is not an error to show: the state below says it, and the loop tries again.
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

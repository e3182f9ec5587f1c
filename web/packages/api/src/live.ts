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

import type { Board, BoardCall, BoardRoom, LiveState } from '@xinglin/api'

/** How long a screen shows what it knew after the last word, in milliseconds. */
export const keepMs = 600_000
/** How long a call stands as the one that is called now; afterwards it is one of those before. */
export const callMs = 120_000

/** A connection that comes back within this is not worth a word: the server ends streams now and then. */
export const graceMs = 2_000

/** All that the screen knows. Instants in milliseconds of this device's clock. */
export interface Knowledge {
  token: boolean
  /** The server said that it does not know this display. */
  unknown: boolean
  board: Board | null
  /** When the board was last heard to be true, 0 never. */
  heardAt: number
  /** The server's clock minus this one. */
  offset: number
  live: LiveState['status']
  /** When the connection broke, 0 while it is up. */
  lostSince: number
}

export type Screen =
  | { kind: 'none' | 'unknown' | 'connecting' | 'lostFirst' }
  | { kind: 'old'; heardAt: number; minutes: number }
  | { kind: 'empty' | 'board'; lost: boolean; heardAt: number; now: BoardCall | null; before: BoardCall[]; rooms: BoardRoom[]; missed: string[] }

/** What is to be seen at a moment. A figure whose age is unknown is never shown, and after ten minutes without a word none is. */
export function screenOf(k: Knowledge, at: number): Screen {
  if (!k.token) return { kind: 'none' }
  if (k.unknown) return { kind: 'unknown' }
  if (!k.board) return { kind: k.live === 'lost' ? 'lostFirst' : 'connecting' }
  const age = at - k.heardAt
  if (age > keepMs) return { kind: 'old', heardAt: k.heardAt, minutes: Math.floor(age / 60_000) }
  const calls = k.board.calls ?? []
  const rooms = k.board.rooms ?? []
  // A missed number stays named by its room; nobody is called and missed at once.
  const missed = [...new Set(rooms.flatMap((r) => r.missed ?? []))].slice(0, 12)
  const latest = calls[0]
  const serverNow = at + k.offset
  const now = latest && serverNow - Date.parse(latest.called_at) < callMs ? latest : null
  return { kind: rooms.length ? 'board' : 'empty', lost: k.live !== 'live' && at - k.lostSince > graceMs, heardAt: k.heardAt, now, before: calls.slice(now ? 1 : 0, now ? 4 : 3), rooms, missed }
}

/** The same person called again is a new call. */
export const callId = (c: BoardCall | null): string => (c ? `${c.number_text} ${c.room} ${c.called_at} ${c.calls}` : '')

/** The rooms of the page that is shown now: pages turn every 10 s; the page with the room that calls comes first in each round. */
export function pageOf<T>(rooms: T[], perPage: number, at: number): { rooms: T[]; page: number; pages: number } {
  const pages = Math.max(1, Math.ceil(rooms.length / perPage))
  const page = Math.floor(at / 10_000) % pages
  return { rooms: rooms.slice(page * perPage, page * perPage + perPage), page: page + 1, pages }
}

// The server's clock as this page knows it. A phone may be minutes off; countdowns and keys follow the server.
let offsetMs = 0

/** Milliseconds since 1970 by the server's clock. */
export function serverNow(): number {
  return Date.now() + offsetMs
}

/** Takes a server instant into account, an HTTP date or RFC 3339. Differences under 2 s are the wire's and stay without effect. */
export function learnServerTime(text: string | null | undefined): void {
  const at = text ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(at) && Math.abs(at - serverNow()) > 2_000) offsetMs = at - Date.now()
}

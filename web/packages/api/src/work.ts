// SHA-256 as a plain function: the browser's own is asynchronous, which is far slower for a million short texts, and is missing on
// pages without TLS.
const k = new Int32Array(64)
const start = new Int32Array(8)
{
  const fraction = (x: number) => ((x - Math.floor(x)) * 2 ** 32) | 0
  let n = 0
  for (let p = 2; n < 64; p++) {
    let prime = true
    for (let d = 2; d * d <= p; d++) if (p % d === 0) prime = false
    if (!prime) continue
    if (n < 8) start[n] = fraction(Math.sqrt(p))
    k[n++] = fraction(Math.cbrt(p))
  }
}

const w = new Int32Array(64)

/** One block of 64 bytes into the state. */
function mix(state: Int32Array, block: DataView, at: number): void {
  for (let i = 0; i < 16; i++) w[i] = block.getInt32(at + 4 * i)
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15]!
    const y = w[i - 2]!
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
    w[i] = (w[i - 16]! + s0 + w[i - 7]! + s1) | 0
  }
  let a = state[0]!, b = state[1]!, c = state[2]!, d = state[3]!, e = state[4]!, f = state[5]!, g = state[6]!, h = state[7]!
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + k[i]! + w[i]!) | 0
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + t1) | 0
    d = c
    c = b
    b = a
    a = (t1 + t2) | 0
  }
  state[0]! += a
  state[1]! += b
  state[2]! += c
  state[3]! += d
  state[4]! += e
  state[5]! += f
  state[6]! += g
  state[7]! += h
}

/** The eight words of SHA-256(text). */
export function sha256(text: string): Int32Array {
  const bytes = new TextEncoder().encode(text)
  const padded = new Uint8Array(((bytes.length + 72) >> 6) << 6)
  padded.set(bytes)
  padded[bytes.length] = 0x80
  const view = new DataView(padded.buffer)
  view.setUint32(padded.length - 4, bytes.length * 8)
  const state = start.slice()
  for (let at = 0; at < padded.length; at += 64) mix(state, view, at)
  return state
}

function leadingZeros(words: Int32Array): number {
  const full = words.findIndex((x) => x !== 0)
  return full < 0 ? 256 : 32 * full + Math.clz32(words[full]!)
}

/** Finds the suffix with which SHA-256(nonce + suffix) begins with so many zero bits. The page stays usable meanwhile. */
export async function solve(nonce: string, bits: number, signal?: AbortSignal): Promise<string> {
  for (let n = 0; ; ) {
    const pause = performance.now() + 12
    while (performance.now() < pause)
      for (const end = n + 200; n < end; n++) {
        const suffix = n.toString(36)
        if (leadingZeros(sha256(nonce + suffix)) >= bits) return suffix
      }
    await new Promise((r) => setTimeout(r))
    signal?.throwIfAborted()
  }
}

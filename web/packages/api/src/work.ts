// The browser's own SHA-256 is asynchronous, which is far slower for a million short texts, and is missing on pages without TLS.
import { sha256 } from '@noble/hashes/sha2.js'

function leadingZeros(hash: Uint8Array): number {
  const full = hash.findIndex((x) => x !== 0)
  return full < 0 ? 8 * hash.length : 8 * full + Math.clz32(hash[full]!) - 24
}

/** Finds the suffix with which SHA-256(nonce + suffix) begins with so many zero bits. The page stays usable meanwhile. */
export async function solve(nonce: string, bits: number, signal?: AbortSignal): Promise<string> {
  const text = new TextEncoder()
  for (let n = 0; ; ) {
    const pause = performance.now() + 12
    while (performance.now() < pause)
      for (const end = n + 200; n < end; n++) {
        const suffix = n.toString(36)
        if (leadingZeros(sha256(text.encode(nonce + suffix))) >= bits) return suffix
      }
    await new Promise((r) => setTimeout(r))
    signal?.throwIfAborted()
  }
}

import type { AuditProof } from '@xinglin/api'

/** A signed head as people read it: the lines of its text, and the names below it. */
export interface Head {
  origin: string
  size: number
  root: string
  number: number
  at: string
  /** How often the log's own keys signed, and how often a witness did. */
  keys: number
  witnesses: number
}

/** Reads the text of a signed head; null when it has another form. */
export function headOf(note: string): Head | null {
  const [body = '', below = ''] = note.split('\n\n')
  const m = /^(\S+)\n(\d+)\n(\S+)\nsm3 \S+\nnumber (\d+)\nat (\S+)$/.exec(body)
  if (!m) return null
  const signers = below.split('\n').flatMap((line) => (line.startsWith('— ') ? [line.slice(2).split(' ')[0] ?? ''] : []))
  return {
    origin: m[1]!, size: Number(m[2]), root: m[3]!, number: Number(m[4]), at: m[5]!,
    keys: signers.filter((s) => s === m[1]).length, witnesses: signers.filter((s) => s !== m[1]).length,
  }
}

const bytes = (base64: string) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
const base64 = (b: Uint8Array) => btoa(String.fromCharCode(...b))

async function sha256(...parts: Uint8Array[]): Promise<Uint8Array> {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const p of parts) {
    all.set(p, at)
    at += p.length
  }
  return new Uint8Array(await crypto.subtle.digest('SHA-256', all))
}

const leafMark = new Uint8Array([0])
const nodeMark = new Uint8Array([1])

/**
 * Computes the root from the entry once more, with this browser's own SHA-256, and compares it with the head (RFC 9162,
 * 2.1.3.2). null where the browser offers no cryptography: on a plain connection. It does not check the signatures.
 */
export async function computes(proof: AuditProof): Promise<boolean | null> {
  if (!globalThis.crypto?.subtle) return null
  const head = headOf(proof.head)
  if (!head || proof.position >= head.size) return false
  let f = proof.position
  let s = head.size - 1
  let r = await sha256(leafMark, new TextEncoder().encode(`${proof.kind}\n${proof.data}`))
  for (const text of proof.path) {
    const p = bytes(text).slice(0, 32)
    if (s === 0 || p.length !== 32) return false
    if (f % 2 === 1 || f === s) {
      r = await sha256(nodeMark, p, r)
      while (f % 2 === 0 && f !== 0) {
        f = Math.floor(f / 2)
        s = Math.floor(s / 2)
      }
    } else r = await sha256(nodeMark, r, p)
    f = Math.floor(f / 2)
    s = Math.floor(s / 2)
  }
  return s === 0 && base64(r) === head.root
}

/** The command that checks a paper without our database. */
export const checkWith = (file: string): string => `xinglin audit verify-offline ${file} --key keys.pem`

/** Puts a text into a file on the reader's machine. */
export function download(name: string, text: string, type = 'application/json'): void {
  const url = URL.createObjectURL(new Blob([text], { type }))
  const a = document.createElement('a')
  a.href = url
  a.download = name
  a.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

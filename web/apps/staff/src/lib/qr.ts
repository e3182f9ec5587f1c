// QR codes (ISO/IEC 18004): bytes, error correction M, versions 1 to 15. Made here, so that a secret or a token goes to no other
// page and into no other library.

/** Per version: error correction words of a block, and how many blocks, at level M. */
const blocks: [number, number][] = [[10, 1], [16, 1], [26, 1], [18, 2], [24, 2], [16, 4], [18, 4], [22, 4], [22, 5], [26, 5], [30, 5], [22, 8], [22, 9], [24, 9], [24, 10]]

/** Modules of a version that are neither patterns nor format, in bits. */
function rawBits(version: number): number {
  let n = (16 * version + 128) * version + 64
  if (version >= 2) {
    const align = Math.floor(version / 7) + 2
    n -= (25 * align - 10) * align - 55
    if (version >= 7) n -= 36
  }
  return n
}

function multiply(x: number, y: number): number {
  let z = 0
  for (let i = 7; i >= 0; i--) {
    z = (z << 1) ^ ((z >>> 7) * 0x11d)
    z ^= ((y >>> i) & 1) * x
  }
  return z
}

/** The Reed-Solomon words for some data. */
export function errorWords(data: number[], degree: number): number[] {
  const divisor = Array.from({ length: degree }, (_, i): number => (i === degree - 1 ? 1 : 0))
  let root = 1
  for (let i = 0; i < degree; i++) {
    for (let j = 0; j < degree; j++) {
      divisor[j] = multiply(divisor[j]!, root)
      if (j + 1 < degree) divisor[j]! ^= divisor[j + 1]!
    }
    root = multiply(root, 2)
  }
  const rest: number[] = divisor.map(() => 0)
  for (const b of data) {
    const factor = b ^ rest.shift()!
    rest.push(0)
    divisor.forEach((d, i) => (rest[i]! ^= multiply(d, factor)))
  }
  return rest
}

/** The text as words of the smallest version that holds it, with its error correction, interleaved. */
function codeWords(text: string): { version: number; words: number[] } {
  const bytes = [...new TextEncoder().encode(text)]
  for (let version = 1; version <= blocks.length; version++) {
    const [ecc, count] = blocks[version - 1]!
    const total = Math.floor(rawBits(version) / 8)
    const capacity = total - ecc * count
    const lengthBits = version < 10 ? 8 : 16
    if (4 + lengthBits + bytes.length * 8 > capacity * 8) continue
    const bits: number[] = []
    const push = (value: number, n: number) => {
      for (let i = n - 1; i >= 0; i--) bits.push((value >>> i) & 1)
    }
    push(4, 4)
    push(bytes.length, lengthBits)
    for (const b of bytes) push(b, 8)
    push(0, Math.min(4, capacity * 8 - bits.length))
    while (bits.length % 8) bits.push(0)
    const data: number[] = []
    for (let i = 0; i < bits.length; i += 8) data.push(bits.slice(i, i + 8).reduce((a, b) => (a << 1) | b, 0))
    for (let pad = 0xec; data.length < capacity; pad ^= 0xec ^ 0x11) data.push(pad)

    const short = Math.floor(total / count) - ecc
    const longs = total % count
    const parts: number[][] = []
    for (let i = 0, at = 0; i < count; i++) {
      const length = short + (i < count - longs ? 0 : 1)
      parts.push(data.slice(at, at + length))
      at += length
    }
    const tails = parts.map((p) => errorWords(p, ecc))
    const words: number[] = []
    for (let i = 0; i <= short; i++) for (const p of parts) if (i < p.length) words.push(p[i]!)
    for (let i = 0; i < ecc; i++) for (const tail of tails) words.push(tail[i]!)
    return { version, words }
  }
  throw new RangeError('too long for a QR code')
}

const masks: ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
]

/** How hard a code is to read: long runs, blocks, false finders, an uneven balance. The mask with the least is taken. */
function penalty(m: boolean[][]): number {
  const n = m.length
  let sum = 0
  let dark = 0
  const lines = [...m, ...m.map((_, x) => m.map((row) => row[x]!))]
  for (const line of lines) {
    for (let i = 0, run = 1; i < n; i++, run++) {
      if (i + 1 === n || line[i] !== line[i + 1]) {
        if (run >= 5) sum += run - 2
        run = 0
      }
    }
    const text = line.map((b) => (b ? '1' : '0')).join('')
    for (const find of ['10111010000', '00001011101']) for (let at = text.indexOf(find); at >= 0; at = text.indexOf(find, at + 1)) sum += 40
  }
  for (let y = 0; y < n; y++)
    for (let x = 0; x < n; x++) {
      if (m[y]![x]) dark++
      if (x && y && m[y]![x] === m[y]![x - 1] && m[y]![x] === m[y - 1]![x] && m[y]![x] === m[y - 1]![x - 1]) sum += 3
    }
  return sum + Math.floor(Math.abs((dark * 20) / (n * n) - 10)) * 10
}

/** The modules of a text's QR code, true for dark; the quiet zone of four modules is the drawer's. */
export function qrMatrix(text: string): boolean[][] {
  const { version, words } = codeWords(text)
  const n = version * 4 + 17
  const m: boolean[][] = Array.from({ length: n }, () => Array<boolean>(n).fill(false))
  const fixed: boolean[][] = Array.from({ length: n }, () => Array<boolean>(n).fill(false))
  const set = (x: number, y: number, on: boolean) => {
    if (x < 0 || y < 0 || x >= n || y >= n) return
    m[y]![x] = on
    fixed[y]![x] = true
  }
  for (let i = 0; i < n; i++) {
    set(6, i, i % 2 === 0)
    set(i, 6, i % 2 === 0)
  }
  for (const [cx, cy] of [[3, 3], [n - 4, 3], [3, n - 4]] as const)
    for (let dy = -4; dy <= 4; dy++)
      for (let dx = -4; dx <= 4; dx++) {
        const d = Math.max(Math.abs(dx), Math.abs(dy))
        set(cx + dx, cy + dy, d !== 2 && d !== 4)
      }
  const spots: number[] = []
  if (version > 1) {
    const count = Math.floor(version / 7) + 2
    const step = Math.floor((version * 8 + count * 3 + 5) / (count * 4 - 4)) * 2
    for (let i = 0, at = n - 7; i < count - 1; i++, at -= step) spots.unshift(at)
    spots.unshift(6)
  }
  for (const y of spots)
    for (const x of spots) {
      if ((x === 6 && y === 6) || (x === 6 && y === n - 7) || (x === n - 7 && y === 6)) continue
      for (let dy = -2; dy <= 2; dy++) for (let dx = -2; dx <= 2; dx++) set(x + dx, y + dy, Math.max(Math.abs(dx), Math.abs(dy)) !== 1)
    }
  if (version >= 7) {
    let rest = version
    for (let i = 0; i < 12; i++) rest = (rest << 1) ^ ((rest >>> 11) * 0x1f25)
    const bits = (version << 12) | rest
    for (let i = 0; i < 18; i++) {
      const a = n - 11 + (i % 3)
      const b = Math.floor(i / 3)
      set(a, b, ((bits >>> i) & 1) === 1)
      set(b, a, ((bits >>> i) & 1) === 1)
    }
  }
  const format = (mask: number) => {
    let rest = mask // level M is 00
    for (let i = 0; i < 10; i++) rest = (rest << 1) ^ ((rest >>> 9) * 0x537)
    const bits = ((mask << 10) | rest) ^ 0x5412
    const bit = (i: number) => ((bits >>> i) & 1) === 1
    for (let i = 0; i <= 5; i++) set(8, i, bit(i))
    set(8, 7, bit(6))
    set(8, 8, bit(7))
    set(7, 8, bit(8))
    for (let i = 9; i < 15; i++) set(14 - i, 8, bit(i))
    for (let i = 0; i < 8; i++) set(n - 1 - i, 8, bit(i))
    for (let i = 8; i < 15; i++) set(8, n - 15 + i, bit(i))
    set(8, n - 8, true)
  }
  format(0)
  let i = 0
  for (let right = n - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5
    for (let vert = 0; vert < n; vert++)
      for (let j = 0; j < 2; j++) {
        const x = right - j
        const y = ((right + 1) & 2) === 0 ? n - 1 - vert : vert
        if (!fixed[y]![x] && i < words.length * 8) {
          m[y]![x] = ((words[i >>> 3]! >>> (7 - (i & 7))) & 1) === 1
          i++
        }
      }
  }
  const flip = (mask: number) => {
    for (let y = 0; y < n; y++) for (let x = 0; x < n; x++) if (!fixed[y]![x] && masks[mask]!(x, y)) m[y]![x] = !m[y]![x]
  }
  let best = 0
  let least = Infinity
  for (let mask = 0; mask < 8; mask++) {
    flip(mask)
    format(mask)
    const p = penalty(m)
    if (p < least) [best, least] = [mask, p]
    flip(mask)
  }
  flip(best)
  format(best)
  return m
}

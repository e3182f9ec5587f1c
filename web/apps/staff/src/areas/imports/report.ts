import type { ImportFault } from '@xinglin/api'

/** A report as it is shown: how many of what, and what was refused with its place in the file. */
export interface Shown {
  counts: { set: string; key: string; n: number }[]
  faults: ImportFault[]
  /** How many were refused in all; the report names the first of them only. */
  refused: number
}

const text = (v: unknown) => (typeof v === 'string' ? v : typeof v === 'number' ? String(v) : '')
const num = (v: unknown) => (typeof v === 'number' ? v : undefined)

function faultOf(x: unknown): ImportFault {
  if (typeof x === 'string') return { reason: x }
  const o = (x ?? {}) as Record<string, unknown>
  const row = num(o.row) ?? num(o.line)
  const sheet = text(o.sheet)
  const path = text(o.path) || text(o.column) || text(o.field)
  return {
    ...(text(o.file) || sheet ? { file: [text(o.file), sheet].filter(Boolean).join(' · ') } : {}),
    ...(row !== undefined ? { row } : {}),
    ...(path ? { path } : {}),
    ...(text(o.code) ? { code: text(o.code) } : {}),
    reason: text(o.reason) || text(o.message) || text(o.why) || text(o.error) || text(o.code),
  }
}

/** Reads a report of any kind of import: numbers are counts, objects of numbers are counts by type, lists of objects are refusals. */
export function readReport(report: unknown): Shown {
  const out: Shown = { counts: [], faults: [], refused: 0 }
  if (typeof report !== 'object' || report === null) return out
  for (const [key, value] of Object.entries(report)) {
    if (typeof value === 'number') out.counts.push({ set: '', key, n: value })
    else if (Array.isArray(value)) out.faults.push(...value.slice(0, 500).map(faultOf))
    else if (typeof value === 'object' && value !== null) {
      for (const [k, v] of Object.entries(value)) if (typeof v === 'number' && v > 0) out.counts.push({ set: key, key: k, n: v })
    }
  }
  out.refused = Math.max(out.faults.length, out.counts.filter((c) => c.set === '' && /refused/.test(c.key)).reduce((n, c) => n + c.n, 0))
  return out
}

import type { ImportFault } from '@xinglin/api'
import type { Lang } from '@xinglin/ui'

/** A report as it is shown: how many of what, and what was refused with its place in the file. */
export interface Shown {
  counts: { set: string; key: string; n: number }[]
  faults: ImportFault[]
  /** How many were refused in all; the report names the first of them only. */
  refused: number
}

type Bag = Record<string, unknown>
const text = (v: unknown) => (typeof v === 'string' ? v : '')
const num = (v: unknown) => (typeof v === 'number' ? v : 0)
const bag = (v: unknown): Bag => (typeof v === 'object' && v !== null && !Array.isArray(v) ? (v as Bag) : {})
const bags = (v: unknown): Bag[] => (Array.isArray(v) ? v.map(bag) : [])
/** At most so many lines of faults are drawn. */
const most = 500

function faultOf(o: Bag, lang: Lang): ImportFault {
  const line = num(o.line)
  const place = [text(o.file), text(o.sheet)].filter(Boolean).join(' · ')
  const path = text(o.path) || text(o.column)
  const reason = (lang === 'en' ? text(o.reason_en) : text(o.reason_zh)) || text(o.message) || text(o.code)
  return { ...(place ? { file: place } : {}), ...(line > 0 ? { row: line } : {}), ...(path ? { path } : {}), ...(text(o.code) ? { code: text(o.code) } : {}), reason }
}

/** Reads the report of any kind of import; parts that this page does not know are left out. */
export function readReport(report: unknown, lang: Lang): Shown {
  const out: Shown = { counts: [], faults: [], refused: 0 }
  const outer = bag(report)
  const count = (set: string, key: string, v: unknown) => num(v) > 0 && out.counts.push({ set, key, n: num(v) })
  const problem = bag(outer.problem)
  if (text(problem.code)) {
    out.faults.push({ code: text(problem.code), reason: (lang === 'en' && text(problem.title_en)) || text(problem.title) || text(problem.code) })
    out.faults.push(...bags(problem.details).map((d) => faultOf(d, lang)))
  }
  for (const kind of ['rota', 'fhir', 'icd10']) {
    const r = bag(outer[kind])
    count('', 'rows', r.rows)
    count('', 'resources', r.resources)
    for (const key of ['new', 'changed', 'same']) count('', key, r[key])
    for (const set of ['campuses', 'departments', 'doctors', 'rules', 'exceptions', 'schedules']) for (const key of ['new', 'changed', 'same']) count(set, key, bag(r[set])[key])
    for (const c of bags(r.types)) for (const key of ['taken', 'updated', 'unchanged', 'refused']) count(key, text(c.type), c[key])
    for (const s of bags(r.skipped)) count('skipped', text(s.type), s.count)
    const refused = [...bags(r.refused), ...bags(r.errors)]
    out.faults.push(...refused.slice(0, most).map((f) => faultOf(f, lang)))
    out.refused += Math.max(refused.length, num(r.refused_count), num(r.error_count))
  }
  out.refused = Math.max(out.refused, out.faults.length)
  return out
}

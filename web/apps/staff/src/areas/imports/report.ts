import type { ImportFault, ImportStop } from '@xinglin/api'
import type { Lang } from '@xinglin/ui'

/** A report as it is shown: how many of what, and what was refused with its place in the file. */
export interface Shown {
  counts: { set: string; key: string; n: number }[]
  faults: ImportFault[]
  /** How many were refused in all; the report names the first of them only. */
  refused: number
  /** Sessions that stop, or would: the first of them, most visits first, then how many in all and how many visits. */
  stops: ImportStop[]
  stopCount: number
  stopVisits: number
  /** It was refused for the visits in these sessions, not for faults of the file. */
  unconsented: boolean
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

const stopOf = (o: Bag): ImportStop => ({ date: text(o.date), session: text(o.session), department_name: text(o.department_name), practitioner_name: text(o.practitioner_name), visits: num(o.visits) })

/** Reads the report of any kind of import; parts that this page does not know are left out. */
export function readReport(report: unknown, lang: Lang): Shown {
  const out: Shown = { counts: [], faults: [], refused: 0, stops: [], stopCount: 0, stopVisits: 0, unconsented: false }
  const outer = bag(report)
  const count = (set: string, key: string, v: unknown) => num(v) > 0 && out.counts.push({ set, key, n: num(v) })
  const problem = bag(outer.problem)
  const rota = bag(outer.rota)
  out.stops = bags(rota.stops).slice(0, most).map(stopOf)
  out.stopCount = Math.max(out.stops.length, num(rota.stop_count))
  out.stopVisits = num(rota.stop_visits)
  out.unconsented = text(problem.code) === 'scheduling.import_stops'
  if (text(problem.code) && !(out.unconsented && out.stops.length)) {
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

// What people read: money, dates and times. Instants come as RFC 3339 UTC and are shown in the hospital's zone.
const zone = 'Asia/Shanghai'

export type Lang = 'zh' | 'en'

const tag = (lang: Lang) => (lang === 'zh' ? 'zh-CN' : 'en-GB')

const formats = new Map<string, Intl.DateTimeFormat>()
function fmt(lang: Lang, options: Intl.DateTimeFormatOptions, timeZone = zone): Intl.DateTimeFormat {
  const key = lang + timeZone + JSON.stringify(options)
  let f = formats.get(key)
  if (!f) formats.set(key, (f = new Intl.DateTimeFormat(tag(lang), { ...options, timeZone, hour12: false })))
  return f
}

/** Fen to yuan with two decimals: 1234567 -> ¥12,345.67. Integer arithmetic only. */
export function money(fen: number): string {
  const abs = Math.abs(Math.trunc(fen))
  const yuan = String(Math.floor(abs / 100)).replace(/\B(?=(\d{3})+$)/g, ',')
  return `${fen < 0 ? '−' : ''}¥${yuan}.${String(abs % 100).padStart(2, '0')}`
}

/** An instant's calendar day in the hospital's zone, YYYY-MM-DD. */
export function dayOf(at: string | number): string {
  const parts = Object.fromEntries(
    fmt('en', { year: 'numeric', month: '2-digit', day: '2-digit' })
      .formatToParts(new Date(at))
      .map((p) => [p.type, p.value]),
  )
  return `${parts.year}-${parts.month}-${parts.day}`
}

/** A day some days later; dates are calendar days and know no zone. */
export function addDays(day: string, n: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + n * 86_400_000).toISOString().slice(0, 10)
}

/** 09:30 */
export function clock(at: string | number): string {
  return fmt('en', { hour: '2-digit', minute: '2-digit' }).format(new Date(at)).replace(/^24/, '00')
}

/** 09:30–10:00 */
export function range(from: string, to: string): string {
  return `${clock(from)}–${clock(to)}`
}

/** A calendar day: 11月23日 / 23 Nov. */
export function date(day: string, lang: Lang): string {
  return fmt(lang, { month: lang === 'zh' ? 'long' : 'short', day: 'numeric' }, 'UTC').format(new Date(`${day}T00:00:00Z`))
}

/** 周一 / Mon */
export function weekday(day: string, lang: Lang): string {
  return fmt(lang, { weekday: 'short' }, 'UTC').format(new Date(`${day}T00:00:00Z`))
}

/** 11月23日 周一 / Mon 23 Nov */
export function dateLong(day: string, lang: Lang): string {
  return lang === 'zh' ? `${date(day, lang)} ${weekday(day, lang)}` : `${weekday(day, lang)} ${date(day, lang)}`
}

/** A month's name for a heading. */
export function month(day: string, lang: Lang): string {
  return lang === 'zh' ? `${Number(day.slice(5, 7))} 月` : fmt(lang, { month: 'long' }, 'UTC').format(new Date(`${day}T00:00:00Z`))
}

/** The day's number in its month. */
export function dayNumber(day: string): string {
  return String(Number(day.slice(8)))
}

/** An instant: 11月23日 09:30 / 23 Nov, 09:30; with the year when it is not the year of `now`. */
export function instant(at: string | number, lang: Lang, now: number = Date.now()): string {
  const day = dayOf(at)
  const year = day.slice(0, 4) === dayOf(now).slice(0, 4) ? '' : day.slice(0, 4)
  return lang === 'zh' ? `${year ? `${year}年` : ''}${date(day, lang)} ${clock(at)}` : `${date(day, lang)}${year ? ` ${year}` : ''}, ${clock(at)}`
}

/** What is left, 04:32 or 1:04:32; never below 00:00. */
export function countdown(ms: number): string {
  const s = Math.max(0, Math.ceil(ms / 1000))
  const two = (n: number) => String(n).padStart(2, '0')
  const h = Math.floor(s / 3600)
  return `${h ? `${h}:` : ''}${two(Math.floor((s % 3600) / 60))}:${two(s % 60)}`
}

/** Whole years of age on a day. */
export function ageOn(birth: string, day: string): number {
  const years = Number(day.slice(0, 4)) - Number(birth.slice(0, 4))
  return day.slice(5) < birth.slice(5) ? years - 1 : years
}

/** Is this a mainland resident id with a right check digit (GB 11643)? */
export function residentIdOk(id: string): boolean {
  if (!/^\d{17}[\dX]$/.test(id)) return false
  const weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
  const sum = weights.reduce((a, w, i) => a + w * Number(id[i]), 0)
  const day = `${id.slice(6, 10)}-${id.slice(10, 12)}-${id.slice(12, 14)}`
  const at = Date.parse(`${day}T00:00:00Z`)
  return '10X98765432'[sum % 11] === id[17] && !Number.isNaN(at) && new Date(at).toISOString().startsWith(day)
}

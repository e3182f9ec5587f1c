import type { DeskSearch } from '@xinglin/api'
import { residentIdOk } from '@xinglin/ui'

/** A birth date as it is typed at a window: 1985-03-07, 1985.3.7 or 19850307. Empty when it is none. */
export function birthOf(text: string): string {
  const t = text.trim()
  const m = /^(\d{4})(\d{2})(\d{2})$/.exec(t) ?? /^(\d{4})[-./](\d{1,2})[-./](\d{1,2})$/.exec(t)
  if (!m) return ''
  const day = `${m[1]}-${m[2]!.padStart(2, '0')}-${m[3]!.padStart(2, '0')}`
  const at = Date.parse(`${day}T00:00:00Z`)
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(day) ? day : ''
}

export type Typed = { by: 'phone' | 'document' | 'name'; search: DeskSearch }

/** What one field of the window means: a mobile number, a document, or a name, which needs the birth date too. */
export function readSearch(text: string, birth: string): Typed | null {
  const t = text.trim().replace(/\s+/g, ' ')
  const tight = t.replace(/[\s-]/g, '').toUpperCase()
  if (!t) return null
  if (/^1[3-9]\d{9}$/.test(tight)) return { by: 'phone', search: { phone: tight } }
  if (residentIdOk(tight)) return { by: 'document', search: { document: tight, document_type: 'resident_id' } }
  if (/^[A-Z0-9()/]{5,}$/.test(tight) && /\d/.test(tight)) return { by: 'document', search: { document: tight } }
  return { by: 'name', search: { name: t, ...(birthOf(birth) ? { birth: birthOf(birth) } : {}) } }
}

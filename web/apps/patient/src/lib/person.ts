import { residentIdOk } from '@xinglin/ui'

export const relations = ['self', 'child', 'parent', 'spouse', 'other'] as const
export const sexes = ['male', 'female', 'unknown'] as const
/** Certificate kinds of the national code list that a person may bring. */
export const documentTypes = ['resident_id', 'hmt_residence', 'hmt_permit', 'foreign_pr', 'passport', 'birth_cert'] as const

export interface PersonDraft {
  relationship: (typeof relations)[number]
  name: string
  document_type: (typeof documentTypes)[number]
  document_number: string
  birth_date: string
  sex: (typeof sexes)[number]
  phone: string
  guardian_consent: boolean
}

/** Field to the code of what is wrong with it. */
export type PersonFault = Partial<Record<'name' | 'document_number' | 'birth_date' | 'phone' | 'guardian_consent', string>>

export const emptyPerson = (): PersonDraft => ({
  relationship: 'self',
  name: '',
  document_type: 'resident_id',
  document_number: '',
  birth_date: '',
  sex: 'unknown',
  phone: '',
  guardian_consent: false,
})

const number = (d: PersonDraft) => d.document_number.replace(/\s/g, '').toUpperCase()

/** The birth date as typed, or as the resident id says; empty when unknown. */
export function birthOf(d: PersonDraft): string {
  if (d.document_type !== 'resident_id') return d.birth_date
  const n = number(d)
  return residentIdOk(n) ? `${n.slice(6, 10)}-${n.slice(10, 12)}-${n.slice(12, 14)}` : ''
}

/** What a person should correct before it is sent. The server decides in the end. */
export function checkPerson(d: PersonDraft, minor: boolean, today: string): PersonFault {
  const out: PersonFault = {}
  if (d.name.trim().length < 2) out.name = 'name'
  if (d.document_type === 'resident_id' ? !residentIdOk(number(d)) : number(d).length < 4) out.document_number = d.document_type === 'resident_id' ? 'residentId' : 'document'
  if (d.document_type !== 'resident_id' && (!/^\d{4}-\d\d-\d\d$/.test(d.birth_date) || d.birth_date > today)) out.birth_date = 'birth'
  if (d.phone && !/^1[3-9]\d{9}$/.test(d.phone.replace(/[\s-]/g, ''))) out.phone = 'phone'
  if (minor && !d.guardian_consent) out.guardian_consent = 'guardian'
  return out
}

/** The request body: derived and empty fields are left out. */
export function toNewPatient(d: PersonDraft, minor: boolean) {
  const resident = d.document_type === 'resident_id'
  const phone = d.phone.replace(/[\s-]/g, '')
  return {
    name: d.name.trim(),
    document_type: d.document_type,
    document_number: number(d),
    relationship: d.relationship,
    ...(resident ? {} : { birth_date: d.birth_date, sex: d.sex }),
    ...(phone ? { phone } : {}),
    ...(minor ? { guardian_consent: d.guardian_consent } : {}),
  }
}

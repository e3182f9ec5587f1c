import { createPinia, setActivePinia } from 'pinia'
import { describe, expect, it } from 'vitest'
import { calendarFile } from '../src/lib/calendar'
import { useDrafts } from '../src/lib/drafts'
import { withCounts } from '../src/lib/live'
import { birthOf, checkPerson, emptyPerson, toNewPatient } from '../src/lib/person'
import { visit } from './fixtures'

const today = '2026-11-22'
const draft = (more: object) => ({ ...emptyPerson(), ...more })

describe('a new person', () => {
  it('has name and document checked, and a guardian for a minor', () => {
    expect(checkPerson(draft({}), false, today)).toEqual({ name: 'name', document_number: 'residentId' })
    const ok = draft({ name: 'Anna Berg', document_number: '11010519491231002x' })
    expect(checkPerson(ok, false, today)).toEqual({})
    expect(checkPerson(ok, true, today)).toEqual({ guardian_consent: 'guardian' })
    expect(checkPerson(draft({ name: 'An', document_type: 'passport', document_number: 'E1234567', birth_date: '2027-01-01' }), false, today)).toEqual({ birth_date: 'birth' })
    expect(checkPerson({ ...ok, phone: '123' }, false, today)).toEqual({ phone: 'phone' })
  })
  it('sends no birth date beside a resident id and no empty phone', () => {
    expect(toNewPatient(draft({ name: ' Anna ', document_number: '11010519491231002x', birth_date: '2000-01-01' }), false)).toEqual({ name: 'Anna', document_type: 'resident_id', document_number: '11010519491231002X', relationship: 'self' })
  })
  it('takes the birth date from the resident id', () => expect(birthOf(draft({ document_number: '11010519491231002X' }))).toBe('1949-12-31'))
})

describe('live counts', () => {
  const slot = (id: string, remaining: number, state: 'free' | 'few' | 'full' | 'past') => ({ id, starts_at: '', ends_at: '', capacity: 3, remaining, state })
  it('turn free to few to full and back, and leave the past alone', () => {
    const list = [slot('a', 3, 'free'), slot('b', 0, 'full'), slot('c', 0, 'past'), slot('d', 1, 'few')]
    expect(withCounts(list, { a: 1, b: 2, c: 5, d: 0 }).map((s) => s.state)).toEqual(['few', 'free', 'past', 'full'])
  })
})

describe('drafts', () => {
  it('survive leaving the screen and end when dropped', () => {
    setActivePinia(createPinia())
    const d = useDrafts()
    d.draft('x', () => ({ text: '' })).text = 'typed'
    expect(d.draft('x', () => ({ text: '' })).text).toBe('typed')
    d.drop('x')
    expect(d.draft('x', () => ({ text: '' })).text).toBe('')
  })
})

describe('calendar file', () => {
  it('has the time, a reminder, and no name of the patient', () => {
    const text = calendarFile({ ...visit, patient_name_masked: 'SECRET', starts_at: '2026-11-23T01:30:00Z', ends_at: '2026-11-23T02:00:00Z', campus_name: 'East, 3rd; floor', location: '' }, 'Visit')
    expect(text).toContain('DTSTART:20261123T013000Z')
    expect(text).toContain('TRIGGER:-PT2H')
    expect(text).toContain('LOCATION:East\\, 3rd\\; floor')
    expect(text).not.toContain('SECRET')
  })
})

// The one place that names the API's shapes. Screens import from here and never from schema.d.ts.
import type { components } from './schema'

type S = components['schemas']

export type Problem = S['Problem']
export type CodeChallenge = S['CodeChallenge']
export type Me = S['Me']
export type Session = S['Session']
export type DemoAccount = S['DemoAccount']
export type DemoMessage = S['DemoMessage']
export type Campus = S['Campus']
export type Department = S['Department']
export type Practitioner = S['Practitioner']
export type Organization = S['Organization']
export type Patient = S['Patient']
export type NewPatient = S['NewPatient']
export type PatientClaim = S['PatientClaim']
export type Schedule = S['Schedule']
export type Slot = S['Slot']
export type Appointment = S['Appointment']
export type Payment = S['Payment']
export type Prepay = S['Prepay']
export type Refund = S['Refund']
export type Notice = S['Notice']

/** One page of a list; next is the cursor of the following page, empty or absent on the last. */
export interface Page<T> {
  items: T[]
  next?: string
}

/** What a live message says: how many numbers are left in a session and in each of its times. */
export interface LiveCount {
  schedule_id: string
  remaining: number
  slots: Record<string, number>
  at: string
}

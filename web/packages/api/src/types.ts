// The one place that names the API's shapes. Screens import from here and never from schema.d.ts.
import type { components } from './schema'

type S = components['schemas']

export type Problem = S['Problem']
export type CodeChallenge = S['IdentitySendCodeOutBody']
export type Me = S['IdentityMeBody']
export type Session = S['IdentitySessionBody']
export type DemoAccount = S['IdentityDemoBody']
export type DemoMessage = S['NotifyShown']
export type Campus = S['DirectoryCampusBody']
export type Department = S['DirectoryDepartmentBody']
export type Practitioner = S['DirectoryPractitionerBody']
export type Organization = S['DirectoryOrganizationBody']
export type Patient = S['PatientPatientBody']
export type NewPatient = S['PatientPostPatientInBody']
export type PatientClaim = S['PatientPatientClaimBody']
/** Its version is for If-Match where a session is stopped. */
export type Schedule = S['SchedulingScheduleBody'] & { version?: number }
export type Slot = S['SchedulingSlotBody']
export type Lottery = S['SchedulingLotteryBody']
export type LotteryEntry = S['SchedulingEntryBody']
export type Appointment = S['SchedulingAppointmentBody']
/** The states of a visit. */
export type VisitState = Appointment['state']
export type Payment = S['PaymentPaymentBody']
export type Prepay = S['PaymentPrepaidBody']
export type Refund = S['PaymentRefundBody']
export type Notice = S['NotifyNoticeBody']

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

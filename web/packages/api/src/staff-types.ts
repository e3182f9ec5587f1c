// What the staff's console reads and writes. Shapes that the contract has are taken from it.
import type { components } from './schema'

type S = components['schemas']

export type StaffAccount = S['IdentityStaffBody']
export type NewStaff = S['IdentityCreateStaffInBody']
export type CreatedStaff = S['IdentityCreateStaffOutBody']
export type Grant = S['IdentityGrantBody']
export type Role = Grant['role']
export type AuditEvent = S['AuditEventBody']
export type Job = S['OpsJobBody']
export type DeadLetter = S['OpsLetterBody']
export type ServeProcess = S['Process']
export type RotaRule = S['SchedulingRuleBody']
export type Rota = S['SchedulingRotaBody'] & RotaRule
export type RotaPreview = S['SchedulingPreviewBody']
export type BookingRules = S['SchedulingRulesBody']
export type RuleValues = S['BookingRules']
export type NewCampus = S['DirectoryPostCampusInBody']
export type NewDepartment = S['DirectoryPostDepartmentInBody']
export type NewPractitioner = S['DirectoryPostPractitionerInBody']
export type PractitionerChange = S['DirectoryPutPractitionerInBody']

export type SessionState = 'planned' | 'running' | 'paused' | 'ended' | 'stopped'
export type TurnState = 'expected' | 'waiting' | 'called' | 'missed' | 'done' | 'gone'
export type PauseReason = 'round' | 'emergency' | 'break' | 'other'

/** Somebody in a session's waiting line; the name is masked. */
export interface Turn {
  appointment_id: string
  number: number
  number_text: string
  patient_id: string
  patient_name_masked: string
  state: TurnState
  starts_at: string
  checked_in_at?: string
  called_at?: string
  calls: number
  late: boolean
  /** From 1 among those who wait, 0 otherwise. */
  position: number
}

/** A session as the clinic runs it. */
export interface ClinicSession {
  schedule_id: string
  date: string
  session: 'morning' | 'afternoon' | 'evening'
  starts_at: string
  ends_at: string
  campus_id: string
  campus_name: string
  department_id: string
  department_name: string
  practitioner_id: string
  practitioner_name: string
  location: string
  state: SessionState
  paused_until?: string
  pause_reason?: string
  expected: number
  waiting: number
  missed: number
  done: number
  current: Turn | null
  version: number
}

export interface ClinicQueue {
  session: ClinicSession
  items: Turn[]
  server_time: string
}

/** Who is behind a masked name; reading it is written into the audit trail. */
export interface Revealed {
  name: string
  sex: string
  birth: string
}

export interface Display {
  id: string
  name: string
  campus_id: string
  department_ids: string[]
  created_at: string
  last_seen_at?: string
  expires_at: string
}

export interface DeskPatient {
  id: string
  name_masked: string
  birth: string
  sex: string
  document_masked: string
  phone_masked: string
  verified: string
}

export interface DeskSearch {
  document_type?: string
  document?: string
  phone?: string
  name?: string
  birth?: string
}

export interface DeskRegistration {
  name: string
  document_type: string
  document: string
  birth?: string
  sex?: string
  phone?: string
  guardian_consent?: boolean
}

export interface StopState {
  stopped_at: string
  affected: number
  cancelled: number
  pending: number
}

export interface PaymentRow {
  id: string
  number: string
  purpose: string
  amount_fen: number
  refunded_fen: number
  pending_fen: number
  state: string
  channel: string
  created_at: string
  paid_at?: string
}

export interface RefundRow {
  id: string
  payment_id: string
  number: string
  amount_fen: number
  reason: string
  state: string
  channel: string
  at: string
  done_at?: string
  why?: string
}

export type ImportKind = 'rota' | 'fhir' | 'icd10'

/** One thing that an import refused: where it stands in the file, and why. */
export interface ImportFault {
  file?: string
  row?: number
  path?: string
  code?: string
  reason: string
}

export interface ImportRun {
  id: string
  kind: ImportKind
  name: string
  state: 'running' | 'done' | 'refused' | 'failed' | 'interrupted'
  dry_run: boolean
  bytes: number
  read_bytes: number
  started_at: string
  ended_at?: string
  report?: unknown
}

export interface Delivery {
  id: string
  channel: string
  template: string
  state: string
  why?: string
  created_at: string
  sent_at?: string
}

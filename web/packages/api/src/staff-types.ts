// What the staff's console reads and writes. Shapes that the contract has are taken from it.
import type { components } from './schema'

type S = components['schemas']

export type StaffAccount = S['IdentityStaffBody']
export type NewStaff = S['IdentityCreateStaffInBody']
export type CreatedStaff = S['IdentityCreateStaffOutBody']
export type Grant = S['IdentityGrantBody']
export type Role = Grant['role']
export type AccessAction = S['OpsActionBody']
/** Why a member of the staff may or may not do something. */
export type AccessAnswer = S['OpsExplainOutBody']
export type AuditEvent = S['AuditEventBody']
export type AuditSearch = Partial<S['AuditSearchInBody']>
export type AuditHead = S['AuditHeadBody']
/** The chain as the auditor sees it. */
export type AuditLog = S['AuditLogOutBody']
/** A proof file: an entry stands in the log under a signed head. */
export type AuditProof = S['AuditProofBody']
export type AuditConsistency = S['AuditConsistencyBody']
/** Another system that lets people log in here. */
export type Client = S['IdentityClientBody']
export type ClientSpec = S['IdentitySpecBody']
export type MadeClient = S['IdentityMadeClientBody']
export type SigningKey = S['IdentityKeyBody']
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

/** Somebody in a session's waiting line; the name is masked. */
export type Turn = S['ClinicTurnBody']
export type TurnState = Turn['state']
/** A session as the clinic runs it. */
export type ClinicSession = S['ClinicSessionBody']
export type SessionState = ClinicSession['state']
export type PauseReason = S['ClinicPostPauseInBody']['reason']
export type ClinicQueue = S['ClinicQueueBody']
/** Who is behind a masked name; reading it is written into the audit trail. */
export type Revealed = S['ClinicRevealBody']
export type Display = S['ClinicDisplayBody']
export type DeskPatient = S['PatientDeskPatientBody']
/** Somebody's wish to act for a person who is on file, which the window proves. */
export type DeskClaim = S['PatientDeskClaimBody']
export type DeskSearch = S['PatientDeskSearchInBody']
export type DeskRegistration = S['PatientDeskPatientInBody']
export type StopState = S['SchedulingStopBody']
export type PaymentRow = S['PaymentPaymentLine']
export type RefundRow = S['PaymentRefundLine']
export type ImportRun = S['InteropImportBody']
export type ImportKind = ImportRun['kind']
export type Delivery = S['NotifyDeliveryBody']

/** A session that an import stops, or would stop. */
export type ImportStop = S['InteropStopRow']

/** One thing that an import refused: where it stands in the file, and why. */
export interface ImportFault {
  file?: string
  row?: number
  path?: string
  code?: string
  reason: string
}

export type DueRequest = S['PrivacyDueBody']
export type OfficerRequest = S['PrivacyOfficerBody']
export type PurposeText = S['PrivacyTextBody']
export type PurposeTextSpec = S['PrivacyPublishInBody']
export type Assessment = S['PrivacyAssessmentBody']
export type AssessmentEntry = S['PrivacyAssessmentFields']
export type Breach = S['PrivacyBreachBody']
export type BreachEntry = S['PrivacyBreachFields']
export type RetainedPerson = S['PrivacyRetainedBody']
export type Dossier = S['PrivacyDossierBody']

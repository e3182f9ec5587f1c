import type { AuditProof } from '@xinglin/api'

/** The proof of one of the rows in a log that holds them all. */
export function auditProof(rows: readonly { id: string }[], id: string): AuditProof

// What a person decides about their data and asks for: consents, copies, corrections, the end of the account. An entrance of its own.
import type { components } from './schema'
import { address, stepUpCode, type CallApi, type Raw } from './call'
import { fromResponse, fromThrown } from './errors'
import { Intents, memoryStore } from './intent'

type S = components['schemas']
export type Choice = S['PrivacyChoiceBody']
export type PrivacyRequest = S['PrivacyRequestBody']
export type Preview = S['PrivacyPreviewBody']
export type RequestKind = PrivacyRequest['kind']
export type Access = S['PrivacyAccessBody']
export interface Asked {
  kind: RequestKind
  reason?: string
  event_id?: string
  changes?: { name?: string; birth_date?: string; sex?: 'male' | 'female' | 'unknown' }
}

/** The functions, over a caller of createCall; stepUp asks for a proof as the caller's does, for the one answer that is a file. */
export function createPrivacy(call: CallApi, stepUp: () => Promise<boolean>) {
  const id = encodeURIComponent
  const intents = new Intents(memoryStore())
  const of = (patient: string) => `/privacy/patients/${id(patient)}`
  const list = async <I>(path: string, signal?: AbortSignal): Promise<I[]> => (await call<Raw<I>>('GET', path, signal ? { signal } : {})).items ?? []

  async function file(request: string): Promise<Blob> {
    let response: Response
    try {
      response = await fetch(address(`/privacy/requests/${id(request)}/file`), { method: 'POST', credentials: 'same-origin', signal: AbortSignal.timeout(60_000) })
    } catch (e) {
      throw fromThrown(e, navigator.onLine !== false)
    }
    if (!response.ok) throw fromResponse(response, await response.json().catch(() => undefined), Date.now())
    return response.blob()
  }

  return {
    consents: (patient: string, signal?: AbortSignal) => list<Choice>(`${of(patient)}/consents`, signal),
    /** One purpose at a time; version is the text that was read. */
    decide: (patient: string, purpose: string, given: boolean, version: number): Promise<Choice> =>
      call('PUT', `${of(patient)}/consents`, { body: { purpose, given, ...(given ? { version } : {}) } }),
    requests: (patient: string, signal?: AbortSignal) => list<PrivacyRequest>(`${of(patient)}/requests`, signal),
    ask: (patient: string, asked: Asked): Promise<PrivacyRequest> =>
      intents.run(`${patient}:${JSON.stringify(asked)}`, (key) => call<PrivacyRequest>('POST', `${of(patient)}/requests`, { key, body: asked })),
    /** Who saw or changed the record, the newest first. */
    accesses: (patient: string, cursor?: string, signal?: AbortSignal): Promise<Raw<Access>> =>
      call('GET', `${of(patient)}/accesses${cursor ? `?cursor=${id(cursor)}` : ''}`, signal ? { signal } : {}),
    cancel: (request: string): Promise<void> => call('POST', `/privacy/requests/${id(request)}/cancellation`),
    preview: (patient: string, signal?: AbortSignal): Promise<Preview> => call('GET', `${of(patient)}/erasure`, signal ? { signal } : {}),
    /** The file, once: the server forgets it with the answer. */
    take: async (request: string): Promise<Blob> => {
      const wantsProof = (e: unknown) => e instanceof Error && 'code' in e && e.code === stepUpCode
      try {
        return await file(request)
      } catch (e) {
        if (!wantsProof(e) || !(await stepUp())) throw e
      }
      await new Promise((r) => setTimeout(r, 600)) // until every process knows of the proof
      return file(request)
    },
  }
}

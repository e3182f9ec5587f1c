// How people prove who they are, beside the first login: passkeys, another authenticator app, and proving it once more.
import type { components } from './schema'
import type * as T from './types'
import type { CallApi, Raw } from './call'
import { makePasskey, usePasskey, type CreationOptions, type RequestOptions } from './webauthn'

export { createCall, stepUpCode, type CallOptions } from './call'
export { passkeysPossible } from './webauthn'

type S = components['schemas']
export type Passkey = S['IdentityPasskeyBody']
export type Login = S['IdentityLoginBody']
export type StepUpOptions = S['IdentityStepUpOptionsOutBody']
export type OfferedIdp = S['IdentityIDPOfferBody']
export type IdpLink = S['IdentityIDPLinkBody']
export type NewTotp = S['IdentityOfferTOTPOutBody']

/** The functions, over a caller of createCall. */
export function createFactors(call: CallApi) {
  const id = encodeURIComponent
  return {
    passkeys: async (signal?: AbortSignal): Promise<Passkey[]> => (await call<Raw<Passkey>>('GET', '/auth/passkeys', signal ? { signal } : {})).items ?? [],
    /** Asks the server, the person's device and the server again. */
    addPasskey: async (name: string): Promise<Passkey> => {
      const o = await call<{ handle: string; public_key: CreationOptions }>('POST', '/auth/passkeys/options')
      const credential = await makePasskey(o.public_key)
      return call('POST', '/auth/passkeys', { body: { handle: o.handle, name, credential } })
    },
    renamePasskey: (key: string, name: string): Promise<void> => call('PUT', `/auth/passkeys/${id(key)}`, { body: { name } }),
    removePasskey: (key: string): Promise<void> => call('DELETE', `/auth/passkeys/${id(key)}`),
    /** Logs in with whichever passkey of this site the person chooses. */
    enter: async (kind: 'patient' | 'staff'): Promise<T.Me> => {
      const q = await call<{ handle: string; public_key: RequestOptions }>('POST', '/auth/passkeys/challenge', { login: true })
      const credential = await usePasskey(q.public_key)
      return call('POST', '/auth/passkeys/sessions', { login: true, body: { kind, handle: q.handle, credential } })
    },
    /** The other ways in that the hospital offers, and what a login by one of them lacks. */
    idps: async (accounts: 'patient' | 'staff', signal?: AbortSignal): Promise<OfferedIdp[]> => (await call<Raw<OfferedIdp>>('GET', '/auth/idp', { query: { accounts }, ...(signal ? { signal } : {}) })).items ?? [],
    beginIdp: async (provider: string, next: string): Promise<string> => (await call<{ address: string }>('POST', '/auth/idp/logins', { login: true, body: { provider, next } })).address,
    completeIdp: (shown: { totp: string } | { challenge_id: string; code: string }): Promise<T.Me> => call('POST', '/auth/idp/sessions', { login: true, body: shown }),
    links: async (signal?: AbortSignal): Promise<{ items: IdpLink[]; more: OfferedIdp[] }> => call('GET', '/auth/idp/links', signal ? { signal } : {}),
    beginLink: async (provider: string, next: string): Promise<string> => (await call<{ address: string }>('POST', '/auth/idp/links', { body: { provider, next } })).address,
    unlink: (link: string): Promise<void> => call('DELETE', `/auth/idp/links/${id(link)}`),
    logins: async (cursor?: string, signal?: AbortSignal): Promise<T.Page<Login>> => {
      const page = await call<Raw<Login>>('GET', '/auth/logins', { query: { cursor, limit: 20 }, ...(signal ? { signal } : {}) })
      return { ...page, items: page.items ?? [] }
    },

    // Proving it once more. A 403 that asks for it is what brings people here; a 401 is an answer.
    stepUpOptions: (): Promise<StepUpOptions> => call('POST', '/auth/step-up/options'),
    sendStepUpCode: (): Promise<T.CodeChallenge> => call('POST', '/auth/step-up/codes'),
    proveByTotp: (totp: string): Promise<unknown> => call('POST', '/auth/step-up', { login: true, body: { totp } }),
    proveByCode: (challenge_id: string, code: string): Promise<unknown> => call('POST', '/auth/step-up', { login: true, body: { challenge_id, code } }),
    proveByPasskey: async (o: StepUpOptions): Promise<unknown> => {
      const credential = await usePasskey(o.passkey!.public_key)
      return call('POST', '/auth/step-up', { login: true, body: { handle: o.passkey!.handle, credential } })
    },

    offerTotp: (): Promise<NewTotp> => call('POST', '/auth/totp/options'),
    replaceTotp: (handle: string, totp: string): Promise<void> => call('POST', '/auth/totp', { login: true, body: { handle, totp } }),
  }
}

export type Factors = ReturnType<typeof createFactors>

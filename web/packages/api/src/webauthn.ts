// Passkeys as browsers make and use them, in the JSON of the API (base64url) and back.
import type { components } from './schema'
import { ApiError } from './errors'

/** Codes of this side, for what goes wrong at the authenticator. */
export const passkeyCode = { cancelled: 'client.passkey_cancelled', known: 'client.passkey_known', failed: 'client.passkey_failed' } as const

type S = components['schemas']
export type CreationOptions = S['IdentityCreationBody']
export type RequestOptions = S['IdentityRequestBody']

const decode = (text: string): ArrayBuffer => {
  const raw = atob(text.replace(/-/g, '+').replace(/_/g, '/'))
  return Uint8Array.from(raw, (c) => c.charCodeAt(0)).buffer
}
const encode = (b: ArrayBuffer): string => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
const known = (list: { id: string; transports?: string[] | null }[]): PublicKeyCredentialDescriptor[] =>
  list.map((k) => ({ id: decode(k.id), type: 'public-key', ...(k.transports ? { transports: k.transports as AuthenticatorTransport[] } : {}) }))

/** Whether this page may have passkeys: a browser that knows them, a secure page, and a host name (an address has none). */
export function passkeysPossible(): boolean {
  return typeof PublicKeyCredential !== 'undefined' && globalThis.isSecureContext && !/^[\d.]+$|:/.test(location.hostname)
}

/** What went wrong at the authenticator, as a code of this side. Who closes the question has said no. */
function refused(e: unknown): unknown {
  if (!(e instanceof DOMException)) return e
  if (e.name === 'InvalidStateError') return new ApiError({ code: passkeyCode.known })
  if (e.name === 'NotAllowedError' || e.name === 'AbortError') return new ApiError({ code: passkeyCode.cancelled })
  return new ApiError({ code: passkeyCode.failed })
}

/** Lets the person's device make a passkey. */
export async function makePasskey(o: CreationOptions) {
  try {
    const made = (await navigator.credentials.create({
      publicKey: {
        ...(o as unknown as PublicKeyCredentialCreationOptions),
        challenge: decode(o.challenge),
        user: { ...o.user, id: decode(o.user.id) },
        excludeCredentials: known(o.excludeCredentials),
      },
    })) as PublicKeyCredential
    const r = made.response as AuthenticatorAttestationResponse
    return {
      id: made.id,
      type: 'public-key' as const,
      response: { clientDataJSON: encode(r.clientDataJSON), attestationObject: encode(r.attestationObject), transports: r.getTransports?.() ?? [] },
    }
  } catch (e) {
    throw refused(e)
  }
}

/** Lets the person's device answer with a passkey. */
export async function usePasskey(o: RequestOptions) {
  try {
    const used = (await navigator.credentials.get({
      publicKey: { ...(o as unknown as PublicKeyCredentialRequestOptions), challenge: decode(o.challenge), allowCredentials: known(o.allowCredentials) },
    })) as PublicKeyCredential
    const r = used.response as AuthenticatorAssertionResponse
    return {
      id: used.id,
      type: 'public-key' as const,
      response: {
        clientDataJSON: encode(r.clientDataJSON),
        authenticatorData: encode(r.authenticatorData),
        signature: encode(r.signature),
        ...(r.userHandle ? { userHandle: encode(r.userHandle) } : {}),
      },
    }
  } catch (e) {
    throw refused(e)
  }
}

import { createCall, createFactors } from '@xinglin/api/factors'
import { createStaffApi } from '@xinglin/api/staff'
import { askProof } from './prove'

let unauthorized: () => void = () => undefined
const options = { onUnauthorized: () => unauthorized(), stepUp: askProof }

/** The one client of the console. */
export const api = createStaffApi(options)

/** Passkeys, the authenticator app, and proving it once more. */
export const factors = createFactors(createCall(options))

/** Says what to do when the session has ended. */
export function onUnauthorized(f: () => void): void {
  unauthorized = f
}

import { createStaffApi } from '@xinglin/api'

let unauthorized: () => void = () => undefined

/** The one client of the console. */
export const api = createStaffApi({ onUnauthorized: () => unauthorized() })

/** Says what to do when the session has ended. */
export function onUnauthorized(f: () => void): void {
  unauthorized = f
}

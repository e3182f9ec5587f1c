import { createApi } from '@xinglin/api'

let unauthorized: () => void = () => undefined

/** The one client of the application. */
export const api = createApi({ onUnauthorized: () => unauthorized() })

/** For calls that are not api's: the session has ended. */
export const sessionEnded = (): void => unauthorized()

/** Says what to do when the session has ended. */
export function onUnauthorized(f: () => void): void {
  unauthorized = f
}

export * from './types'
export * from './visit'
export { ApiError, clientCode, type FieldError } from './errors'
export { createApi, type Api, type ApiOptions, type Wish } from './client'
export { Intents, memoryStore, sessionStore, uuidv7 } from './intent'
export { type LiveState } from './live'
export { followCounts } from './counts'
export { learnServerTime, serverNow } from './clock'
export type { Pass } from './pass'
export { persist, type Pause } from './persist'
export * from './staff-types'
// The console's client and what has to do with passkeys are entrances of their own (./staff, ./factors): nothing of them may come into
// the patient's first load.
export { follow, type FollowOptions } from './follow'

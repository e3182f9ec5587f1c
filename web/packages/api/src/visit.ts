// Shapes of the waiting line, the wall and the notices' settings.
import type { components } from './schema'

type S = components['schemas']

/** A visit's place in the waiting line, for the person who has it. */
export type VisitTurn = S['ClinicPlaceBody']

export type BoardCall = S['ClinicBoardCall']
export type BoardRoom = S['ClinicBoardRoom']
/** What a wall shows. */
export type Board = S['ClinicBoard']

export const noticeTopics = ['visit', 'queue', 'payment', 'service'] as const satisfies (keyof S['NotifyTopics'])[]
export const noticeChannels = ['sms', 'mail', 'push'] as const
export type NoticeTopic = (typeof noticeTopics)[number]
export type NoticeChannel = (typeof noticeChannels)[number]

/** Which notices go where, and when not, in Asia/Shanghai. Messages in the application always come. */
export type NoticePreferences = S['NotifyPreferencesBody']
export type PushDevice = S['NotifyDeviceBody']
export type NewPushDevice = S['NotifyDeviceInBody']

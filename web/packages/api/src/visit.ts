// Shapes of the waiting line, the wall and the notices' settings.
import type { components } from './schema'

type S = components['schemas']

/** A visit's place in the waiting line, for the person who has it. */
export type VisitTurn = S['ClinicPlaceBody']

export type BoardCall = S['ClinicBoardCall']
export type BoardRoom = S['ClinicBoardRoom']
/** What a wall shows. */
export type Board = S['ClinicBoard']

export const noticeTopics = ['visit', 'queue', 'payment', 'service'] as const
export const noticeChannels = ['sms', 'mail', 'push'] as const
export type NoticeTopic = (typeof noticeTopics)[number]
export type NoticeChannel = (typeof noticeChannels)[number]

/** Which notices go where, and when not. Messages in the application always come. */
export interface NoticePreferences {
  topics: Record<NoticeTopic, Record<NoticeChannel, boolean>>
  quiet: boolean
  /** HH:MM in Asia/Shanghai. */
  quiet_from: string
  quiet_to: string
  mail_masked?: string
  push_devices?: number
}

export interface PushDevice {
  id: string
  label: string
  created_at: string
}

export interface NewPushDevice {
  endpoint: string
  p256dh: string
  auth: string
  label: string
}

// Shapes of the waiting line, the wall and the notices' settings as the contract agreed on them.

/** A visit's place in the waiting line, for the person who has it. */
export interface VisitTurn {
  state: 'expected' | 'waiting' | 'called' | 'missed' | 'done' | 'gone'
  number_text: string
  /** From 1 among those who wait, 0 otherwise. */
  position: number
  /** How many are seen before. */
  ahead: number
  calling_number_text?: string
  location: string
  /** The honest range of when it will be this person's turn; absent when nothing can be said. */
  wait_from?: string
  wait_to?: string
  check_in_from: string
  check_in_until: string
  can_check_in: boolean
  paused_until?: string
  server_time: string
  version: number
}

/** One call on the wall. */
export interface BoardCall {
  number_text: string
  name_masked: string
  room: string
  practitioner_name: string
  called_at: string
  calls: number
}

export interface BoardRoom {
  schedule_id: string
  room: string
  department_name: string
  practitioner_name: string
  state: 'planned' | 'running' | 'paused' | 'ended' | 'stopped'
  paused_until?: string
  calling?: string
  next: string[] | null
  waiting: number
  missed: string[] | null
}

/** What a wall shows. */
export interface Board {
  name: string
  campus_name: string
  server_time: string
  updated_at: string
  calls: BoardCall[] | null
  rooms: BoardRoom[] | null
}

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

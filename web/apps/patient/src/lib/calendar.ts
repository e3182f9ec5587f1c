import type { Appointment } from '@xinglin/api'

const stamp = (at: string) => new Date(at).toISOString().replace(/[-:]/g, '').replace(/\.\d+/, '')
const clean = (s: string) => s.replace(/[\\;,]/g, (c) => `\\${c}`).replace(/\r?\n/g, ' ')

/** One event of RFC 5545 with a reminder two hours before. It names the place and the doctor, never the patient. */
export function calendarFile(a: Appointment, title: string): string {
  return [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//Xinglin//patient//EN',
    'BEGIN:VEVENT',
    `UID:${a.id}@xinglin`,
    `DTSTAMP:${stamp(a.created_at)}`,
    `DTSTART:${stamp(a.starts_at)}`,
    `DTEND:${stamp(a.ends_at)}`,
    `SUMMARY:${clean(title)}`,
    `LOCATION:${clean([a.campus_name, a.location].filter(Boolean).join(' '))}`,
    'BEGIN:VALARM',
    'ACTION:DISPLAY',
    'TRIGGER:-PT2H',
    `DESCRIPTION:${clean(title)}`,
    'END:VALARM',
    'END:VEVENT',
    'END:VCALENDAR',
    '',
  ].join('\r\n')
}

/** Hands a text to the person as a file. */
export function download(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }))
  const a = document.createElement('a')
  a.href = url
  a.download = name
  a.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

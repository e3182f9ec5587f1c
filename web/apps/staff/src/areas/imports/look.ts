import type { IconName } from '@xinglin/ui'

type Look = { icon: IconName; tone?: 'ok' | 'warn' | 'danger' | 'info' }
const looks: Record<string, Look> = {
  running: { icon: 'refresh', tone: 'info' },
  done: { icon: 'check', tone: 'ok' },
  refused: { icon: 'warn', tone: 'warn' },
  failed: { icon: 'stop', tone: 'danger' },
  interrupted: { icon: 'warn', tone: 'danger' },
}

/** How the state of an import is shown. */
export const importLook = (state: string): Look => looks[state] ?? { icon: 'info' }

/** Bytes for people: 482 KB, 96.0 MB. */
export function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  if (bytes < 1024 * 1024) return `${Math.round(bytes / 1024)} KB`
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`
}

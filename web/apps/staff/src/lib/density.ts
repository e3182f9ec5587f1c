import { recall, remember } from '@xinglin/ui'

export const densities = ['calm', 'dense'] as const
export type Density = (typeof densities)[number]
const key = 'xinglin.console.density'

export function savedDensity(): Density {
  return recall(key) === 'dense' ? 'dense' : 'calm'
}

/** How close the rows of tables stand; remembered on this device. */
export function applyDensity(to: Density): void {
  document.documentElement.dataset.density = to
  remember(key, to)
}

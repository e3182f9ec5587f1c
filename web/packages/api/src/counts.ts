import { follow, type FollowOptions } from './follow'
import type { LiveCount } from './types'

export interface CountOptions extends Omit<FollowOptions, 'url' | 'onEvent'> {
  ids: string[]
  onCount: (count: LiveCount) => void
  baseUrl?: string
}

/** Follows the remaining seats of some sessions until the returned function is called. */
export function followCounts({ ids, onCount, baseUrl = '', ...options }: CountOptions): () => void {
  return follow({
    ...options,
    url: `${baseUrl}/api/v1/schedules/live?ids=${ids.map(encodeURIComponent).join(',')}`,
    onEvent: (e) => {
      if (e.event === 'count') onCount(JSON.parse(e.data) as LiveCount)
    },
  })
}

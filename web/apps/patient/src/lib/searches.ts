import { forget, recall, remember } from '@xinglin/ui'

const key = 'xinglin.searches'
const most = 6

/** The last words that were searched for, newest first. They stay on this device and go with the login. */
export function recentSearches(): string[] {
  try {
    const list: unknown = JSON.parse(recall(key) ?? '[]')
    return Array.isArray(list) ? list.filter((x): x is string => typeof x === 'string').slice(0, most) : []
  } catch {
    return []
  }
}

export function rememberSearch(words: string): void {
  const w = words.trim().slice(0, 40)
  if (w) remember(key, JSON.stringify([w, ...recentSearches().filter((x) => x !== w)].slice(0, most)))
}

export const forgetSearches = () => forget(key)

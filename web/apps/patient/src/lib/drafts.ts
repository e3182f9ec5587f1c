import { defineStore } from 'pinia'
import { reactive } from 'vue'

/** What was typed and not yet sent. In memory only: it outlives a visit to the login page, never the tab. */
export const useDrafts = defineStore('drafts', () => {
  const kept = new Map<string, object>()

  function draft<T extends object>(key: string, empty: () => T): T {
    let d = kept.get(key) as T | undefined
    if (!d) kept.set(key, (d = reactive(empty()) as T))
    return d
  }
  const drop = (key: string) => void kept.delete(key)
  const clear = () => kept.clear()
  return { draft, drop, clear }
})

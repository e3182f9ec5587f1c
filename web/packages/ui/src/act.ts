import { ref, shallowRef } from 'vue'

/** One write at a time, with its failure kept for the screen. Typed input is never touched. */
export function useAct<A extends unknown[], R>(run: (...args: A) => Promise<R>) {
  const busy = ref(false)
  const error = shallowRef<unknown>(null)
  async function go(...args: A): Promise<R | undefined> {
    if (busy.value) return undefined
    busy.value = true
    error.value = null
    try {
      return await run(...args)
    } catch (e) {
      error.value = e
      return undefined
    } finally {
      busy.value = false
    }
  }
  return { busy, error, go }
}

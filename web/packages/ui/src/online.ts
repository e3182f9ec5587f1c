import { onScopeDispose, readonly, ref } from 'vue'

const online = ref(typeof navigator === 'undefined' ? true : navigator.onLine !== false)
if (typeof addEventListener === 'function') {
  addEventListener('online', () => (online.value = true))
  addEventListener('offline', () => (online.value = false))
}

export const useOnline = () => readonly(online)

/** A clock that ticks while the component lives. */
export function useTick(everyMs: number, now: () => number = Date.now) {
  const t = ref(now())
  const timer = setInterval(() => (t.value = now()), everyMs)
  onScopeDispose(() => clearInterval(timer))
  return t
}

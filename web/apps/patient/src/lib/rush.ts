import { onScopeDispose, reactive } from 'vue'
import { ApiError, persist, type Pause } from '@xinglin/api'
import { api } from './api'

/** How long a request may be on its way before the page says that it is. */
const quiet = 2_000

/**
 * A write that many people make at the same moment. It goes on by itself while the server is busy, does the work that the server asks
 * for, and can be stopped. `failed` says how it ended without an answer: all tries made, or stopped by the person.
 */
export function useRush() {
  const state = reactive({
    /** Something worth saying goes on. */
    active: false,
    proving: false,
    pause: null as Pause | null,
    /** The person asked to stop; the request that is on its way is still waited for. */
    stopping: false,
    failed: '' as '' | 'tired' | 'stopped',
    /** The last failure left open whether a number was taken. */
    unsure: false,
  })
  let stopper = new AbortController()

  async function proved<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (e) {
      if (!(e instanceof ApiError) || e.code !== 'admission.challenge_needed') throw e
      state.active = state.proving = true
      try {
        await api.prove(stopper.signal)
      } finally {
        state.proving = false
      }
      return call()
    }
  }

  async function through<T>(call: () => Promise<T>): Promise<T> {
    stopper = new AbortController()
    Object.assign(state, { stopping: false, failed: '', unsure: false })
    const timer = setTimeout(() => (state.active = true), quiet)
    const onPause = (pause: Pause | null) => {
      state.pause = pause
      if (pause) state.active = true
    }
    try {
      return await persist(() => proved(call), { signal: stopper.signal, onPause })
    } catch (e) {
      if (stopper.signal.aborted) state.failed = 'stopped'
      else if (e instanceof ApiError && e.passing && state.active) state.failed = 'tired'
      state.unsure = e instanceof ApiError && e.unsure
      throw e
    } finally {
      clearTimeout(timer)
      Object.assign(state, { active: false, stopping: false, pause: null })
    }
  }

  function stop() {
    state.stopping = true
    stopper.abort()
  }
  onScopeDispose(() => stopper.abort())
  return { state, through, stop }
}

import { defineStore } from 'pinia'
import { ref } from 'vue'
import { ApiError, type Me } from '@xinglin/api'
import { forget, recall, remember } from '@xinglin/ui'
import { api } from './api'
import { queryClient } from './query'
import { useDrafts } from './drafts'
import { forgetLotteries } from './lotteries'

// The cookie cannot be read here; this mark only spares guests a question whose answer is no.
const mark = 'xinglin.session.mark'

export const useSession = defineStore('session', () => {
  const me = ref<Me | null>(null)
  let asked: Promise<void> | null = null

  /** Knows who is logged in; asks the server at most once. */
  function ensure(): Promise<void> {
    if (me.value || !recall(mark)) return Promise.resolve()
    asked ??= api
      .me()
      .then((m) => {
        me.value = m
      })
      .catch((e: unknown) => {
        if (e instanceof ApiError && e.status === 401) forget(mark)
        asked = null
      })
    return asked
  }

  function opened(m: Me): void {
    if (me.value?.account_id !== m.account_id) queryClient.clear()
    me.value = m
    asked = null
    remember(mark, '1')
  }

  /** The session ended by itself: what was typed stays for the same person. */
  function expired(): void {
    me.value = null
    asked = null
    forget(mark)
  }

  async function logout(): Promise<void> {
    await api.closeSession()
    expired()
    useDrafts().clear()
    forgetLotteries()
    queryClient.clear()
  }

  return { me, ensure, opened, expired, logout }
})

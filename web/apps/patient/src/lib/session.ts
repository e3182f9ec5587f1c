import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { ApiError, type Me } from '@xinglin/api'
import { forget, recall, remember } from '@xinglin/ui'
import { api } from './api'
import { queryClient } from './query'
import { useDrafts } from './drafts'
import { forgetLotteries } from './lotteries'
import { forgetSearches } from './searches'

// The cookie cannot be read here; this mark only spares guests a question whose answer is no.
const mark = 'xinglin.session.mark'
/** How long the first page waits for the answer who this is, before it shows what the device has. */
const patience = 3_000

export const useSession = defineStore('session', () => {
  const me = ref<Me | null>(null)
  /** Nobody could say who this is; the device was logged in when somebody last could. */
  const assumed = ref(false)
  const signedIn = computed(() => me.value !== null || assumed.value)
  let asked: Promise<void> | null = null
  let restored = false

  /** Knows who is logged in; asks the server at most once, and without an answer goes by what the device remembers. */
  async function ensure(): Promise<void> {
    if (me.value) return
    if (!recall(mark)) {
      if (!restored && navigator.onLine === false) await restore(false)
      return
    }
    asked ??= api
      .me()
      .then((m) => {
        me.value = m
        assumed.value = false
      })
      .catch((e: unknown) => {
        asked = null
        if (e instanceof ApiError && e.status === 401) return expired()
        assumed.value = true
      })
    if (assumed.value) return
    let timer: ReturnType<typeof setTimeout> | undefined
    await Promise.race([asked, new Promise((r) => (timer = setTimeout(r, patience)))])
    clearTimeout(timer)
    if (me.value || !recall(mark)) return
    assumed.value = true
    await restore(true)
  }

  const drop = () => import('./kept').then((k) => k.forgetTickets())
  async function restore(own: boolean): Promise<void> {
    restored = true
    await (await import('./kept')).showKept(own)
  }

  function opened(m: Me): void {
    if (me.value?.account_id !== m.account_id) queryClient.clear()
    me.value = m
    assumed.value = false
    asked = null
    remember(mark, '1')
  }

  /** The session ended by itself: what was typed stays for the same person, what was kept of visits does not. */
  function expired(): void {
    me.value = null
    assumed.value = false
    asked = null
    forget(mark)
    void drop()
  }

  async function logout(): Promise<void> {
    await import('./push').then((p) => p.turnPushOff()).catch(() => undefined) // this device speaks for nobody any more
    try {
      await api.closeSession()
    } catch (e) {
      if (!(e instanceof ApiError && e.status === 401)) throw e // it has ended already
    }
    expired()
    await drop()
    useDrafts().clear()
    forgetLotteries()
    forgetSearches()
    queryClient.clear()
  }

  globalThis.addEventListener?.('online', () => {
    if (assumed.value) void ensure()
  })

  return { me, signedIn, ensure, opened, expired, logout }
})

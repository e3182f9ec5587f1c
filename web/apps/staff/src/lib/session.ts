import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { ApiError, type Me, type Role } from '@xinglin/api'
import { api, factors } from './api'
import { queryClient } from './query'

export const useSession = defineStore('session', () => {
  const me = ref<Me | null>(null)
  /** The session ended while a screen was open. The screen stays as it is, with what was typed; a login lies over it. */
  const ended = ref(false)
  let asked: Promise<void> | null = null

  const roles = computed<Role[]>(() => [...new Set((me.value?.roles ?? []).map((g) => g.role))])
  const has = (...any: Role[]) => any.some((r) => roles.value.includes(r))

  /** Knows who is logged in; asks the server at most once. A patient's session is none here. */
  function ensure(): Promise<void> {
    if (me.value) return Promise.resolve()
    asked ??= api
      .me()
      .then((m) => {
        if (m.kind === 'staff') me.value = m
      })
      .catch((e: unknown) => {
        if (!(e instanceof ApiError && e.status === 401)) asked = null
      })
    return asked
  }

  const login = async (username: string, password: string, totp: string) => opened(await api.login(username, password, totp))
  const enter = async () => opened(await factors.enter('staff'))
  const complete = async (totp: string) => opened(await factors.completeIdp({ totp }))

  function opened(m: Me): void {
    const before = me.value?.account_id
    if (before && before !== m.account_id) {
      // Somebody else: nothing of the one before may be seen.
      location.assign(import.meta.env.BASE_URL)
      return
    }
    me.value = m
    ended.value = false
    if (before) void queryClient.invalidateQueries()
    else queryClient.clear()
  }

  function expired(): void {
    if (me.value) ended.value = true
  }

  async function logout(): Promise<void> {
    await api.closeSession()
    me.value = null
    ended.value = false
    asked = null
    queryClient.clear()
  }

  return { me, ended, roles, has, ensure, login, enter, complete, expired, logout }
})

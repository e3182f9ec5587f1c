import { computed, onScopeDispose, reactive, ref, watch } from 'vue'
import { useQuery, useQueryClient } from '@tanstack/vue-query'
import { serverNow, type Appointment, type LiveState, type VisitTurn } from '@xinglin/api'
import { dayOf } from '@xinglin/ui'
import { api } from './api'
import { isKept } from './keptAt'

/** What a person sees of the waiting line: before the check-in opens, while it is open, after it closed, and the line's own states. */
export type TurnPhase = 'early' | 'open' | 'late' | 'waiting' | 'called' | 'missed' | 'over'

export function phaseOf(t: VisitTurn, now: number): TurnPhase {
  if (t.state === 'waiting' || t.state === 'called' || t.state === 'missed') return t.state
  if (t.state !== 'expected') return 'over'
  if (t.can_check_in) return 'open'
  return now < Date.parse(t.check_in_from) ? 'early' : now > Date.parse(t.check_in_until) ? 'late' : 'open'
}

/** A visit has a place in the line on its day, while it is to come. */
export const hasTurn = (a: Appointment | undefined, now: number): a is Appointment => a !== undefined && !isKept(a) && (a.state === 'booked' || a.state === 'arrived') && a.date === dayOf(now)

/** How long after the last word a figure is shown with its age. */
export const freshMs = 30_000

/** The live place of a visit: told by the server, and asked for every 10 s while nothing is heard. */
export function useTurn(visit: () => Appointment | undefined) {
  const client = useQueryClient()
  const id = computed(() => {
    const a = visit()
    return hasTurn(a, serverNow()) ? a.id : ''
  })
  const key = computed(() => ['turn', id.value] as const)
  const live = reactive<LiveState>({ status: 'connecting', heardAt: 0, lostSince: 0 })
  const query = reactive(
    useQuery({
      queryKey: key,
      queryFn: ({ signal }) => api.turn(id.value, signal),
      enabled: computed(() => id.value !== ''),
      staleTime: 0,
      refetchInterval: () => (live.status === 'live' ? 60_000 : 10_000),
      refetchOnWindowFocus: 'always',
      meta: { private: true },
    }),
  )
  const over = computed(() => query.data?.state === 'done' || query.data?.state === 'gone')
  // A page that nobody looks at holds no connection; looked at again it asks at once.
  const seen = ref(document.visibilityState !== 'hidden')
  const look = () => (seen.value = document.visibilityState !== 'hidden')
  document.addEventListener('visibilitychange', look)
  let stop = () => {}
  watch(
    () => (seen.value && !over.value ? id.value : ''),
    (at) => {
      stop()
      stop = () => {}
      live.status = 'connecting'
      if (!at) return
      let left = false
      stop = () => (left = true)
      void import('./stream').then(({ follow }) => {
        if (left) return
        stop = follow({
          url: api.turnEvents(at),
          onState: (s) => Object.assign(live, s),
          onEvent: (e) => {
            if (e.event === 'turn') void client.invalidateQueries({ queryKey: ['turn', at] })
          },
        })
      })
    },
    { immediate: true },
  )
  // The visit itself changes with its turn: arrived, seen.
  watch(
    () => query.data?.state,
    (now, before) => {
      if (!before || now === before) return
      void client.invalidateQueries({ queryKey: ['appointment', id.value] })
      void client.invalidateQueries({ queryKey: ['appointments'] })
      if (now === 'called') navigator.vibrate?.([400, 200, 400])
    },
  )
  onScopeDispose(() => {
    stop()
    document.removeEventListener('visibilitychange', look)
  })
  return reactive({ id, query, live })
}

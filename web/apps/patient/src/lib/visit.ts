import { computed, reactive } from 'vue'
import { useQuery } from '@tanstack/vue-query'
import type { Appointment } from '@xinglin/api'
import { isKept } from './keptAt'
import { api } from './api'

/** One visit, asked again every 2 s while it still waits for what follows a payment. */
export function useVisit(id: string, waiting: (state: string) => boolean = () => false) {
  return reactive(
    useQuery({
      queryKey: ['appointment', id],
      queryFn: ({ signal }) => api.appointment(id, signal),
      staleTime: 2_000,
      refetchInterval: (q) => (q.state.data && waiting(q.state.data.state) && q.state.dataUpdateCount < 60 ? 2_000 : false),
      meta: { private: true },
    }),
  )
}

/** A visit to act on: the device's own copy says too little for that, and counts as not read. */
export function useWholeVisit(visit: ReturnType<typeof useVisit>) {
  return computed(() => (visit.data && isKept(visit.data) ? { ...visit, data: undefined } : visit))
}

/** The visits from a day on. The list comes latest first: it is read on until it has passed that day. */
export async function comingVisits(from: string, signal?: AbortSignal): Promise<Appointment[]> {
  const out: Appointment[] = []
  for (let cursor = '', n = 0; n < 5; n++) {
    const page = await api.appointments(cursor ? { cursor } : {}, signal)
    out.push(...page.items.filter((a) => a.date >= from))
    cursor = page.next ?? ''
    if (!cursor || page.items.some((a) => a.date < from)) break
  }
  return out
}

import { reactive } from 'vue'
import { useQuery } from '@tanstack/vue-query'
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

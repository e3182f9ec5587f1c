import { useAct } from '@xinglin/ui'
import { useQueryClient } from '@tanstack/vue-query'
import { api } from './api'

/** Checking in for a visit. Two taps, or a second try after a lost answer, are one check-in. */
export function useCheckIn(visit: () => string | undefined) {
  const client = useQueryClient()
  return useAct(async () => {
    const id = visit()
    if (!id) return
    try {
      client.setQueryData(['turn', id], await api.checkIn(id))
    } finally {
      // Refused or not heard: what is true now stands beside the reason.
      void client.invalidateQueries({ queryKey: ['turn', id] })
      void client.invalidateQueries({ queryKey: ['appointment', id] })
      void client.invalidateQueries({ queryKey: ['appointments'] })
    }
  })
}

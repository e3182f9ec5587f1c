import { computed } from 'vue'
import { useQuery } from '@tanstack/vue-query'
import type { Appointment, Payment } from '@xinglin/api'
import { api } from './api'

/** How money came, which is how it goes back: over a payment service, in cash at a window, or not known (yet). */
export type MoneyWay = 'online' | 'cash' | 'unknown'

export const wayOf = (channel: Payment['channel'] | undefined): MoneyWay => (channel === 'cash' ? 'cash' : channel ? 'online' : 'unknown')

/** How the fee of a visit came. A visit whose payment is not the account's to read was booked, and is settled, at the window. */
export function useMoneyWay(visit: () => Appointment | undefined) {
  const id = computed(() => visit()?.payment_id ?? '')
  const payment = useQuery({ queryKey: computed(() => ['payment', id.value]), queryFn: ({ signal }) => api.payment(id.value, signal), enabled: computed(() => id.value !== ''), staleTime: 10_000, meta: { private: true } })
  return computed<MoneyWay>(() => (!visit() ? 'unknown' : id.value === '' ? 'cash' : wayOf(payment.data.value?.channel)))
}

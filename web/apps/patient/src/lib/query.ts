import { QueryClient } from '@tanstack/vue-query'
import { ApiError } from '@xinglin/api'

/** Reads are tried again twice when nobody answered or the server says "later"; never when it said no. */
export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      retry: (count, error) => error instanceof ApiError && !error.settled && error.code !== 'client.timeout' && count < 2,
      retryDelay: (n, error) => Math.max(error instanceof ApiError ? error.retryAfter * 1000 : 0, 500 * 2 ** n + Math.random() * 500),
    },
    mutations: { retry: false, networkMode: 'always' },
  },
})

// The library hears that the network is back only when it heard it go: a page that was opened without one asks here.
if (typeof addEventListener === 'function')
  addEventListener('online', () => void queryClient.refetchQueries({ type: 'active', stale: true }, { cancelRefetch: false }))

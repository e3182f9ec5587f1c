import { QueryClient } from '@tanstack/vue-query'
import { ApiError } from '@xinglin/api'

/** Reads are tried again twice when nobody answered or the server says "later"; never when it said no or failed: the screen offers that. */
export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      retry: (count, error) => error instanceof ApiError && error.passing && error.code !== 'client.timeout' && count < 2,
      retryDelay: (n, error) => Math.max(error instanceof ApiError ? error.retryAfter * 1000 : 0, 500 * 2 ** n + Math.random() * 500),
    },
    mutations: { retry: false, networkMode: 'always' },
  },
})

import { computed, type WritableComputedRef } from 'vue'
import { useRoute, useRouter } from 'vue-router'

/** What a list shows is in its address: a filter that is changed begins at the first page, and Back undoes it. */
export function useFilter(name: string, fallback = ''): WritableComputedRef<string> {
  const route = useRoute()
  const router = useRouter()
  return computed({
    get: () => (typeof route.query[name] === 'string' ? route.query[name] : fallback),
    set: (to) => {
      const query = { ...route.query, [name]: to && to !== fallback ? to : undefined }
      if (name !== 'cursor') delete query.cursor
      void router.replace({ query })
    },
  })
}

/** The page of a list, by the server's cursor. Each page is a step of the browser's history. */
export function usePage() {
  const route = useRoute()
  const router = useRouter()
  const cursor = computed(() => (typeof route.query.cursor === 'string' ? route.query.cursor : ''))
  const go = (to: string | undefined) => void router.push({ query: { ...route.query, cursor: to || undefined } })
  return { cursor, go }
}

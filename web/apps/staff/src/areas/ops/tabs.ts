import { computed } from 'vue'
import { useSession } from '../../lib/session'
import { useWords } from '../../lib/words'

/** The pages of operation that the role has use for. */
export function useOpsTabs() {
  const { t } = useWords()
  const session = useSession()
  return computed(() => ['deliveries', ...(session.has('system_admin') ? ['dead-letters', 'jobs', 'processes'] : [])].map((name) => ({ name, label: t(`title.${name}`) })))
}

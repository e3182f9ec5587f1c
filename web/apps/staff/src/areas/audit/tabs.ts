import { computed } from 'vue'
import { useWords } from '../../lib/words'

/** The entries, and the chain that holds them. */
export function useAuditTabs() {
  const { t } = useWords()
  return computed(() => ['audit', 'chain'].map((name) => ({ name, label: t(`title.${name}`) })))
}

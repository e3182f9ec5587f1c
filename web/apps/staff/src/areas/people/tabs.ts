import { computed } from 'vue'
import { useWords } from '../../lib/words'

/** Accounts, and the question why somebody may do something. */
export function usePeopleTabs() {
  const { t } = useWords()
  return computed(() => ['people', 'access'].map((name) => ({ name, label: t(`title.${name}`) })))
}

import { computed } from 'vue'
import { useWords } from '../../lib/words'

/** Accounts, the question why somebody may do something, and other systems that log people in here. */
export function usePeopleTabs() {
  const { t } = useWords()
  return computed(() => ['people', 'access', 'clients'].map((name) => ({ name, label: t(`title.${name}`) })))
}

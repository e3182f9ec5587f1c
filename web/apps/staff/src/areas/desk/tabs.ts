import { computed } from 'vue'
import { useWords } from '../../lib/words'

/** The pages of the window. */
export function useDeskTabs() {
  const { t } = useWords()
  return computed(() => ['desk', 'claims'].map((name) => ({ name, label: t(`title.${name}`) })))
}

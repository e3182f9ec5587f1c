import { computed } from 'vue'
import { useWords } from '../../lib/words'

/** The pages of the hospital's directory. */
export function useHouseTabs() {
  const { t } = useWords()
  return computed(() => ['doctors', 'departments', 'campuses'].map((name) => ({ name, label: t(`title.${name}`) })))
}

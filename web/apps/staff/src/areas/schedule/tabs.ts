import { computed } from 'vue'
import { useSession } from '../../lib/session'
import { useWords } from '../../lib/words'

/** The pages of the schedule that the role has use for. */
export function useScheduleTabs() {
  const { t } = useWords()
  const session = useSession()
  return computed(() => ['schedule', ...(session.has('operator') ? ['rotas', 'rules'] : [])].map((name) => ({ name, label: t(`title.${name}`) })))
}

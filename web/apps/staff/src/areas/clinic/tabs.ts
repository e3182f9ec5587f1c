import { computed } from 'vue'
import { useSession } from '../../lib/session'
import { useWords } from '../../lib/words'

/** The pages of the clinic that the role has use for. */
export function useClinicTabs() {
  const { t } = useWords()
  const session = useSession()
  return computed(() => [{ name: 'clinic', label: t('title.clinic') }, ...(session.has('operator') ? [{ name: 'displays', label: t('title.displays') }] : [])])
}

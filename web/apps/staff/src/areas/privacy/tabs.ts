import { computed } from 'vue'
import { useSession } from '../../lib/session'
import { useWords } from '../../lib/words'
import { privacy } from './routes'

/** The pages of the area that the role has use for. */
export function usePrivacyTabs() {
  const { t } = useWords()
  const session = useSession()
  return computed(() =>
    privacy.routes.filter((r) => session.has(...r.meta!.roles!)).map((r) => ({ name: String(r.name), label: t(r.meta!.title) })),
  )
}

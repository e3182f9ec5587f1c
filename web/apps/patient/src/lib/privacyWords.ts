import { useI18n } from 'vue-i18n'
import en from '../locales/privacy.en.json'
import zh from '../locales/privacy.zh.json'
import { useWords } from './words'

interface Words {
  t: (key: string, values?: Record<string, unknown>) => string
}

/** The texts of the consent centre, which come with its screen and not with the first load. */
export function usePrivacyWords() {
  const own = useI18n({ useScope: 'local', messages: { zh, en } } as never) as unknown as Words
  return { ...useWords(), tp: own.t }
}

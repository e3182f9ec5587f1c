import { useI18n } from 'vue-i18n'
import { ApiError } from '@xinglin/api'
import en from '../locales/factors.en.json'
import zh from '../locales/factors.zh.json'
import { useWords } from './words'

interface Words {
  t: (key: string, values?: Record<string, unknown>) => string
  te: (key: string) => boolean
}

/** The texts of passkeys, which come with their screens and not with the first load. */
export function useFactorWords() {
  const own = useI18n({ useScope: 'local', messages: { zh, en } } as never) as unknown as Words
  const words = useWords()
  /** A failure in one sentence, by our own words where there are some. */
  function errorText(e: unknown): string {
    const key = e instanceof ApiError ? `fault.${e.code.replace('.', '_')}` : ''
    return key && own.te(key) ? own.t(key) : words.errorText(e)
  }
  return { ...words, tf: own.t, errorText }
}

import { createI18n } from 'vue-i18n'
import { recall, remember, type Lang } from '@xinglin/ui'
import zh from './locales/zh.json'

export type Messages = typeof zh

const key = 'xinglin.display.lang'

export const i18n = createI18n<[Messages], Lang, false>({ legacy: false, locale: 'zh', fallbackLocale: 'zh', messages: { zh } as never })

/** Changes the language; the second one is fetched when first wanted. */
export async function setLang(to: Lang): Promise<void> {
  if (to === 'en' && !(i18n.global.availableLocales as string[]).includes('en')) {
    const en = await import('./locales/en.json')
    i18n.global.setLocaleMessage('en', en.default as never)
  }
  i18n.global.locale.value = to
  document.documentElement.lang = to === 'zh' ? 'zh-CN' : 'en'
  remember(key, to)
}

/** The language of the last visit; Chinese at first. A failed fetch of English leaves Chinese. */
export async function initLocale(): Promise<void> {
  try {
    await setLang(recall(key) === 'en' ? 'en' : 'zh')
  } catch {
    await setLang('zh')
  }
}

import zh from './locales/zh.json'
import en from './locales/en.json'

export type Lang = 'zh' | 'en'
export type Key = keyof typeof zh
export type Words = (key: Key, values?: Record<string, string | number>) => string

/** The texts of a language with their values put in. */
export function wordsOf(lang: Lang): Words {
  const texts: Record<Key, string> = lang === 'en' ? en : zh
  return (key, values = {}) => texts[key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''))
}

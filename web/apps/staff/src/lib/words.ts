import { computed } from 'vue'
import { useI18n } from 'vue-i18n'
import { ApiError, clientCode } from '@xinglin/api'
import * as f from '@xinglin/ui'
import type { Lang } from '@xinglin/ui'

/** Texts and formats in the chosen language. */
export function useWords() {
  const { t, te, locale } = useI18n()
  const lang = computed(() => locale.value as Lang)

  /** A failure in one sentence. The server's own title goes first, except where this side knows a better next step. */
  function errorText(e: unknown): string {
    if (!(e instanceof ApiError)) return t('error.unknown')
    const key = `fault.${e.code.replace('.', '_')}`
    if (te(key)) return t(key, { seconds: e.retryAfter || 60 })
    if (e.code === clientCode.offline || e.code === clientCode.network) return t('error.network')
    if (e.code === clientCode.timeout) return t('error.timeout')
    if (e.status === 401) return t('error.ended')
    if (e.status === 403) return t('error.denied')
    if (e.status === 412) return t('error.stale')
    return (lang.value === 'zh' ? e.title : e.titleEn || e.title) || (e.status === 404 ? t('error.notFound') : t('error.unknown'))
  }
  /** A word of a set by the code that the server sends; a code that is newer than this page is shown as it is. */
  const word = (set: string, code: string | undefined) => (code && te(`${set}.${code}`) ? t(`${set}.${code}`) : (code ?? ''))

  return {
    t,
    te,
    lang,
    word,
    errorText,
    traceOf: (e: unknown) => (e instanceof ApiError ? e.traceId : ''),
    money: f.money,
    range: f.range,
    clock: f.clock,
    dateLong: (day: string) => f.dateLong(day, lang.value),
    date: (day: string) => f.date(day, lang.value),
    weekday: (day: string) => f.weekday(day, lang.value),
    instant: (at: string | undefined) => (at ? f.instant(at, lang.value) : ''),
    /** The name in the chosen language of anything that has two. */
    named: (x: { name: string; name_en?: string }) => (lang.value === 'en' && x.name_en) || x.name,
  }
}

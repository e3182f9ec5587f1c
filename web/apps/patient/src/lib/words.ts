import { computed } from 'vue'
import { useI18n } from 'vue-i18n'
import { useQuery } from '@tanstack/vue-query'
import { ApiError, clientCode, type Appointment } from '@xinglin/api'
import * as f from '@xinglin/ui'
import type { IconName, Lang } from '@xinglin/ui'
import { api } from './api'

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
    if (e.status === 404) return t('error.notFound')
    return (lang.value === 'zh' ? e.title : e.titleEn || e.title) || t('error.unknown')
  }
  return {
    t,
    te,
    lang,
    errorText,
    traceOf: (e: unknown) => (e instanceof ApiError ? e.traceId : ''),
    money: f.money,
    range: f.range,
    dateLong: (day: string) => f.dateLong(day, lang.value),
    instant: (at: string) => f.instant(at, lang.value),
    session: (s: string) => t(`session.${s}`),
    /** The name in the chosen language of anything that has two. */
    named: (x: { name: string; name_en?: string }) => (lang.value === 'en' && x.name_en) || x.name,
  }
}

/** English names for departments and campuses that an answer carries in Chinese only. */
export function useNames() {
  const { lang } = useWords()
  const enabled = computed(() => lang.value === 'en')
  const departments = useQuery({ queryKey: ['departments', ''], queryFn: ({ signal }) => api.departments(undefined, signal), staleTime: 600_000, enabled })
  const campuses = useQuery({ queryKey: ['campuses'], queryFn: ({ signal }) => api.campuses(signal), staleTime: 600_000, enabled })
  const find = (list: { name: string; name_en?: string }[] | undefined, name?: string) =>
    (enabled.value && list?.find((x) => x.name === name)?.name_en) || name || ''
  return {
    department: (name?: string) => find(departments.data.value?.items, name),
    campus: (name?: string) => find(campuses.data.value?.items, name),
  }
}

/** The title of a visit's doctor in the chosen language; a visit carries it in Chinese. */
export function useTitle(visit: () => Appointment | undefined) {
  const { lang } = useWords()
  const id = computed(() => visit()?.practitioner_id ?? '')
  const enabled = computed(() => lang.value === 'en' && id.value !== '')
  const doctor = useQuery({ queryKey: computed(() => ['practitioner', id.value]), queryFn: ({ signal }) => api.practitioner(id.value, signal), staleTime: 600_000, enabled })
  return computed(() => (enabled.value && doctor.data.value?.title_en) || visit()?.practitioner_title || '')
}

/** How a visit's state is shown: word, icon, tone. */
export function stateLook(a: Pick<Appointment, 'state'>): { icon: IconName; tone?: 'ok' | 'warn' | 'danger' | 'info' | 'brand' } {
  switch (a.state) {
    case 'pending':
      return { icon: 'clock', tone: 'warn' }
    case 'booked':
      return { icon: 'ok', tone: 'ok' }
    case 'arrived':
      return { icon: 'pin', tone: 'brand' }
    case 'fulfilled':
      return { icon: 'check' }
    case 'noshow':
      return { icon: 'warn', tone: 'danger' }
    default:
      return { icon: 'close' }
  }
}

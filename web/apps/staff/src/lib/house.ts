import { computed } from 'vue'
import { useQuery } from '@tanstack/vue-query'
import { api } from './api'
import { useCampus } from './campus'
import { useWords } from './words'

/** Departments of the chosen campus, as choices with "all" first. */
export function useDepartments() {
  const { t, named } = useWords()
  const campus = useCampus()
  const query = useQuery({ queryKey: computed(() => ['departments', campus.id]), queryFn: ({ signal }) => api.departments(campus.id || undefined, signal), staleTime: 300_000 })
  const items = computed(() => query.data.value?.items ?? [])
  const choices = computed(() => items.value.map((d) => ({ value: d.id, label: named(d) })))
  return {
    query,
    items,
    choices,
    options: computed(() => [{ value: '', label: t('pick.allDepartments') }, ...choices.value]),
    name: (id: string) => choices.value.find((c) => c.value === id)?.label ?? '',
  }
}

/** Campuses as choices. */
export function useCampuses() {
  const { named } = useWords()
  const query = useQuery({ queryKey: ['campuses'], queryFn: ({ signal }) => api.campuses(signal), staleTime: 600_000 })
  const items = computed(() => query.data.value?.items ?? [])
  return { query, items, choices: computed(() => items.value.map((c) => ({ value: c.id, label: named(c) }))), name: (id: string) => named(items.value.find((c) => c.id === id) ?? { name: '' }) }
}

/** Doctors of a department (or of all), as choices; at most the first 50. */
export function useDoctors(department: () => string) {
  const query = useQuery({ queryKey: computed(() => ['practitioners', department()]), queryFn: ({ signal }) => api.practitioners({ department_id: department() }, signal), staleTime: 300_000 })
  const items = computed(() => query.data.value?.items ?? [])
  return { query, items, choices: computed(() => items.value.map((p) => ({ value: p.id, label: `${p.name} · ${p.title}` }))) }
}

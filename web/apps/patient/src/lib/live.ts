import { onScopeDispose, reactive, watch, type Ref } from 'vue'
import { useQueryClient } from '@tanstack/vue-query'
import { followCounts, type LiveCount, type LiveState, type Page, type Schedule, type Slot } from '@xinglin/api'

/** Applies a live count to a list of times. */
export function withCounts(slots: Slot[], counts: Record<string, number>): Slot[] {
  return slots.map((s) => {
    const remaining = counts[s.id]
    if (remaining === undefined || remaining === s.remaining || s.state === 'past' || s.state === 'closed') return s
    const state = remaining <= 0 ? 'full' : remaining === 1 ? 'few' : s.state === 'full' ? 'free' : s.state
    return { ...s, remaining, state }
  })
}

/** Follows the counts of sessions and puts them into what was read; says whether they are live. */
export function useLive(ids: Ref<string[]>, schedulesKey: Ref<readonly unknown[]>) {
  const client = useQueryClient()
  const state = reactive<LiveState>({ status: 'connecting', heardAt: 0, lostSince: 0 })
  let stop = () => {}

  function onCount(c: LiveCount) {
    client.setQueryData<Page<Slot>>(['slots', c.schedule_id], (old) => old && { ...old, items: withCounts(old.items, c.slots) })
    client.setQueryData<Page<Schedule>>(
      schedulesKey.value,
      (old) =>
        old && {
          ...old,
          items: old.items.map((s) => {
            if (s.id !== c.schedule_id) return s
            const turned = c.remaining > 0 ? (s.state === 'full' ? 'open' : s.state) : s.state === 'open' ? 'full' : s.state
            return { ...s, remaining: c.remaining, state: turned }
          }),
        },
    )
  }
  watch(
    () => ids.value.join(),
    (joined) => {
      stop()
      stop = () => {}
      if (joined) stop = followCounts({ ids: joined.split(','), onCount, onState: (s) => Object.assign(state, s) })
    },
    { immediate: true },
  )
  onScopeDispose(() => stop())
  return state
}

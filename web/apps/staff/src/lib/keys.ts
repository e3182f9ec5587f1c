import { onScopeDispose, shallowReactive } from 'vue'

/** A key that does something on the open screen. */
export interface Key {
  /** As KeyboardEvent.key says it. */
  key: string
  /** What it does, in the chosen language. */
  label: string
  run: () => void
  enabled?: () => boolean
}

/** All keys of now, the latest screen's first: what the help shows. */
export const activeKeys = shallowReactive<Key[]>([])

const typing = (e: EventTarget | null) => e instanceof HTMLElement && (e.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(e.tagName))
/** A dialog that is open: the keys of the screen below it rest. */
const covered = () => [...document.querySelectorAll('[role=dialog][aria-modal=true]')].some((d) => d.getClientRects().length > 0)
const pressing = (e: EventTarget | null) => e instanceof HTMLElement && e.closest('button, a[href], summary, [role=option], [role=gridcell]') !== null

function onKey(e: KeyboardEvent): void {
  if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || e.isComposing || e.repeat) return
  if (typing(e.target) || covered()) return
  // Enter and space belong to the button under the focus.
  if ((e.key === 'Enter' || e.key === ' ') && pressing(e.target)) return
  const found = activeKeys.find((k) => k.key.toLowerCase() === e.key.toLowerCase() && (k.enabled?.() ?? true))
  if (!found) return
  e.preventDefault()
  found.run()
}
if (typeof addEventListener === 'function') addEventListener('keydown', onKey)

/** Makes keys work while the component lives. */
export function useKeys(keys: Key[]): void {
  activeKeys.unshift(...keys)
  onScopeDispose(() => {
    for (const k of keys) {
      const at = activeKeys.indexOf(k)
      if (at >= 0) activeKeys.splice(at, 1)
    }
  })
}

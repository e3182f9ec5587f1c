import { readonly, ref, shallowRef } from 'vue'

const waiting = shallowRef<ServiceWorker | null>(null)
const ready = ref(false)
let asked = false

/** Whether a new build waits to be taken. */
export const useUpdate = () => ({ ready: readonly(ready), take })

/** How long a new build may take to take over, in ms. */
const patience = 5_000

/**
 * Takes the new build: it becomes the one that answers, and the page begins again with it. The old one first ends what it fetches, and on
 * a bad line that may hang for minutes; then the page begins again anyway, which ends those fetches and lets the new one in.
 */
function take(): void {
  asked = true
  waiting.value?.postMessage('take over')
  setTimeout(() => location.reload(), patience)
}

/** Registers the service worker and watches for new builds: at start, each hour, and when the page is looked at again. */
export async function watchBuilds(open: (path: string) => void, hour = 3_600_000): Promise<void> {
  const workers = navigator.serviceWorker
  let looked = Date.now()
  workers.addEventListener('controllerchange', () => {
    if (asked) location.reload() // the first worker of all takes over without a question, and without this
  })
  workers.addEventListener('message', (e: MessageEvent<{ open?: string }>) => {
    if (e.data?.open?.startsWith('/m/')) open(e.data.open.slice(2))
  })
  const registration = await workers.register('/m/sw.js', { scope: '/m/' })
  const offer = () => {
    if (!registration.waiting || !workers.controller) return
    waiting.value = registration.waiting
    ready.value = true
  }
  offer()
  // A page that was loading at the moment when the first worker took over all pages was left out. It asks.
  if (!workers.controller) void workers.ready.then((r) => workers.controller || r.active?.postMessage('claim'))
  registration.addEventListener('updatefound', () => registration.installing?.addEventListener('statechange', offer))
  const look = () => {
    if (document.visibilityState !== 'visible' || Date.now() - looked < hour) return
    looked = Date.now()
    registration.update().catch(() => undefined) // no network: the next look finds it
  }
  document.addEventListener('visibilitychange', look)
  setInterval(look, hour)
}

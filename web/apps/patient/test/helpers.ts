import { QueryClient, VueQueryPlugin } from '@tanstack/vue-query'
import { mount, type VueWrapper } from '@vue/test-utils'
import { createPinia } from 'pinia'
import { wordsKey } from '@xinglin/ui'
import type { Component } from 'vue'
import { createMemoryHistory, createRouter, type Router } from 'vue-router'
import { router as real } from '../src/router'
import { i18n } from '../src/i18n'
import { useWords } from '../src/lib/words'

/** Mounts a screen at a path, with the routes of the application and nothing else in memory. */
export async function open(screen: Component, path: string): Promise<{ w: VueWrapper; router: Router }> {
  const routes = real.getRoutes().map((r) => ({ path: r.path, name: r.name, component: { template: '' }, meta: r.meta }))
  const router = createRouter({ history: createMemoryHistory('/m/'), routes: routes as never })
  await router.push(path)
  const queryClient = new QueryClient({ defaultOptions: { queries: { retry: false } } })
  const w = mount(screen, { global: { plugins: [createPinia(), i18n, [VueQueryPlugin, { queryClient }], router], provide: { [wordsKey as symbol]: useWords } }, attachTo: document.body })
  return { w, router }
}

/** Waits until a condition holds, at most a second. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 1_000
  while (!condition()) {
    if (performance.now() > end) throw new Error('did not come true')
    await new Promise((r) => setTimeout(r, 2))
  }
}

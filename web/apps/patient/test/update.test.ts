import { afterEach, beforeEach, expect, it, vi } from 'vitest'

/** A browser's service workers: one that is active, perhaps one that waits. */
function browser(over: { controller: boolean; waiting: boolean }) {
  const worker = () => ({ said: [] as string[], postMessage(m: string) { this.said.push(m) } })
  const active = worker()
  const waiting = over.waiting ? worker() : null
  const heard = new Map<string, () => void>()
  const registration = { active, waiting, installing: null, addEventListener: () => undefined, update: () => Promise.resolve() }
  const serviceWorker = {
    controller: over.controller ? active : null,
    ready: Promise.resolve(registration),
    register: () => Promise.resolve(registration),
    addEventListener: (name: string, f: () => void) => void heard.set(name, f),
  }
  vi.stubGlobal('navigator', { serviceWorker })
  const reload = vi.fn()
  vi.stubGlobal('location', { reload })
  return { active, waiting, heard, reload }
}

beforeEach(() => {
  vi.resetModules()
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

const watch = async () => {
  const update = await import('../src/lib/update')
  await update.watchBuilds(() => undefined)
  return update.useUpdate()
}

it('asks the worker to take a page that it left out, and no other', async () => {
  const left = browser({ controller: false, waiting: false })
  await watch()
  expect(left.active.said).toEqual(['claim'])
  vi.resetModules()
  const taken = browser({ controller: true, waiting: false })
  await watch()
  expect(taken.active.said).toEqual([])
})

it('begins again with the new build, also when the old one does not let go', async () => {
  const page = browser({ controller: true, waiting: true })
  const build = await watch()
  expect(build.ready.value).toBe(true)
  build.take()
  expect(page.waiting?.said).toEqual(['take over'])
  expect(page.reload).not.toHaveBeenCalled()
  vi.advanceTimersByTime(5_000)
  expect(page.reload).toHaveBeenCalledOnce()
})

it('begins again as soon as the new build took over', async () => {
  const page = browser({ controller: true, waiting: true })
  const build = await watch()
  page.heard.get('controllerchange')?.()
  expect(page.reload).not.toHaveBeenCalled() // nobody asked
  build.take()
  page.heard.get('controllerchange')?.()
  expect(page.reload).toHaveBeenCalledOnce()
})

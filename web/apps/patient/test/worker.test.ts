import { expect, it } from 'vitest'
import source from '../src/sw.js?raw'

type Shown = { title: string; options: { tag: string; lang: string; data: { link: string } } }

/** Runs the worker's text with a world of its own and hands it one pushed message. */
async function push(message: unknown, lang?: string): Promise<Shown> {
  const heard = new Map<string, (e: unknown) => void>()
  const shown: Shown[] = []
  const self = {
    addEventListener: (name: string, f: (e: unknown) => void) => void heard.set(name, f),
    registration: { showNotification: (title: string, options: Shown['options']) => Promise.resolve(void shown.push({ title, options })) },
    clients: {},
  }
  const indexedDB = {
    open: () => {
      const get = { result: lang ? { value: lang } : undefined, onsuccess: undefined as (() => void) | undefined }
      const request = { onsuccess: undefined as (() => void) | undefined, result: { close: () => undefined, transaction: () => ({ objectStore: () => ({ get: () => (queueMicrotask(() => get.onsuccess?.()), get) }) }) } }
      queueMicrotask(() => request.onsuccess?.())
      return request
    },
  }
  new Function('self', 'indexedDB', 'caches', 'location', source.replace('__SHELL__', '[]'))(self, indexedDB, {}, { origin: 'http://x' })
  let done: Promise<unknown> = Promise.resolve()
  heard.get('push')?.({ data: { json: () => (message instanceof Error ? (() => { throw message })() : message) }, waitUntil: (p: Promise<unknown>) => (done = p) })
  await done
  return shown[0]!
}

it('shows a notice in the language of the person, with its page', async () => {
  const notice = { title: 'zh', title_en: 'en', link: '/m/visits/1', tag: 'one' }
  expect(await push(notice)).toMatchObject({ title: 'zh', options: { tag: 'one', lang: 'zh-CN', data: { link: '/m/visits/1' } } })
  expect(await push(notice, 'en')).toMatchObject({ title: 'en', options: { lang: 'en' } })
  expect(await push({ title: 'zh', link: '/m/x' }, 'en')).toMatchObject({ title: 'zh', options: { tag: '/m/x' } })
})

it('leads to no page of others, and an unreadable message to the messages', async () => {
  expect((await push({ title: 'zh', link: 'https://elsewhere.example/' })).options.data.link).toBe('/m/notices')
  expect((await push({ title: 'zh', link: '//elsewhere.example/' })).options.data.link).toBe('/m/notices')
  const odd = await push(new Error('not json'))
  expect(odd.options.data.link).toBe('/m/notices')
  expect(odd.title).not.toBe('')
})

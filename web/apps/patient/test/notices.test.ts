import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { enableAutoUnmount } from '@vue/test-utils'
import type { Notice } from '@xinglin/api'
import { setLang } from '../src/i18n'
import { api } from '../src/lib/api'
import NoticesScreen from '../src/screens/NoticesScreen.vue'
import { open, until } from './helpers'

const at = new Date().toISOString()
const notices: Notice[] = [
  { id: 'n1', title: '已中签', title_en: 'You won a seat', body: '请在 30 分钟内支付', body_en: 'Pay within 30 min', created_at: at, link: '/m/visits/a1' },
  { id: 'n2', title: '未中签', title_en: 'Not drawn', body: '第 87 名', body_en: 'Rank 87', created_at: at, link: '/m/lottery/s1' },
  { id: 'n3', title: '抽签未能给号', title_en: 'The seat could not be given', body: '同一天只能预约一次', body_en: 'One booking a day', created_at: at, read_at: at, link: 'https://elsewhere.example/' },
]

enableAutoUnmount(afterEach)
// Made ready once: the first one to want English must not wait for it on a busy machine.
beforeAll(() => import('../src/locales/en.json'), 30_000)
beforeEach(() => {
  vi.restoreAllMocks()
  vi.spyOn(api, 'notices').mockResolvedValue({ items: notices, next: '' })
})
afterEach(() => setLang('zh'))

async function show() {
  const { w, router } = await open(NoticesScreen, '/notices')
  await until(() => w.findAll('li').length === notices.length)
  return { w, router }
}

it('shows what a lottery came to in the language of the reader', async () => {
  const { w } = await show()
  expect(w.findAll('h2').map((h) => h.text())).toEqual(notices.map((n) => n.title))
  expect(w.text()).toContain('请在 30 分钟内支付')
  await setLang('en')
  await until(() => w.text().includes('Pay within 30 min'))
  expect(w.findAll('h2').map((h) => h.text())).toEqual(notices.map((n) => n.title_en))
})

it('leads a winner to the visit and a loser to the draw, and nobody elsewhere', async () => {
  const { w, router } = await show()
  expect(w.findAll('li').map((l) => l.find('a').exists() && l.get('a').attributes('href'))).toEqual(['/m/visits/a1', '/m/lottery/s1', false])
  expect(['/visits/a1', '/lottery/s1'].map((p) => router.resolve(p).name)).toEqual(['visit', 'lottery'])
})

it('marks a notice as read, and offers that for unread ones only', async () => {
  const read = vi.spyOn(api, 'readNotice').mockResolvedValue(undefined)
  const { w } = await show()
  expect(w.findAll('li').map((l) => l.findAll('button').length)).toEqual([1, 1, 0])
  await w.get('li button').trigger('click')
  await until(() => read.mock.calls.length === 1)
  expect(read).toHaveBeenCalledWith('n1')
})

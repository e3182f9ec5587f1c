import { mount } from '@vue/test-utils'
import { createMemoryHistory, createRouter } from 'vue-router'
import { describe, expect, it, vi } from 'vitest'
import { AsyncView, FaultNote, XButton, XErrorState, XField, XSlotGrid, XSteps, applyScale, renewOnMissingPage, savedScale, wordsKey } from '../src'

describe('XButton', () => {
  it('refuses a second press while busy', async () => {
    let presses = 0
    const w = mount(XButton, { props: { busy: true }, attrs: { onClick: () => presses++ }, slots: { default: 'x' } })
    await w.trigger('click')
    expect(presses).toBe(0)
    expect(w.attributes('aria-busy')).toBe('true')
    await w.setProps({ busy: false })
    await w.trigger('click')
    expect(presses).toBe(1)
  })
})

describe('XField', () => {
  it('ties label, hint and fault to its input and keeps what is typed', async () => {
    const w = mount(XField, { props: { label: 'L', hint: 'H', error: 'E' } })
    const input = w.get('input')
    expect(w.get('label').attributes('for')).toBe(input.attributes('id'))
    const described = input.attributes('aria-describedby')!.split(' ').map((id) => w.get(`[id="${id}"]`).text())
    expect(described).toEqual(['H', 'E'])
    expect(input.attributes('aria-invalid')).toBe('true')
    await input.setValue('abc')
    expect(w.emitted('update:modelValue')).toEqual([['abc']])
    await w.setProps({ error: '' })
    expect((w.get('input').element as HTMLInputElement).value).toBe('abc')
  })
})

describe('XSlotGrid', () => {
  const cells = [
    { id: 'a', time: '08:00–08:30', words: 'full', disabled: true },
    { id: 'b', time: '08:30–09:00', words: '2 left' },
  ]
  it('chooses a free time only and says it in words', async () => {
    const w = mount(XSlotGrid, { props: { cells, label: 'times', chosenWord: 'chosen', modelValue: '' } })
    await w.get('[data-slot=a]').trigger('click')
    expect(w.emitted('update:modelValue')).toBeUndefined()
    await w.get('[data-slot=b]').trigger('click')
    expect(w.emitted('update:modelValue')).toEqual([['b']])
    await w.setProps({ modelValue: 'b' })
    expect(w.get('[data-slot=b]').attributes('aria-pressed')).toBe('true')
    expect(w.get('[data-slot=b]').text()).toContain('chosen')
  })
})

describe('states', () => {
  it('an error has a sentence, a retry and the request id last', async () => {
    const w = mount(XErrorState, { props: { title: 'T', text: 'why', retryWord: 'again', traceLabel: 'id', traceId: 'abc' } })
    expect(w.attributes('role')).toBe('alert')
    await w.get('button').trigger('click')
    expect(w.emitted('retry')).toHaveLength(1)
    expect(w.text().endsWith('id abc')).toBe(true)
  })
  it('steps say their state in words', () => {
    const w = mount(XSteps, { props: { steps: [{ title: 'a', state: 'done' }, { title: 'b', state: 'now' }], words: { done: '(done)', now: '(now)', todo: '', bad: '' } } })
    expect(w.findAll('li').map((l) => l.get('.b').text())).toEqual(['a(done)', 'b(now)'])
    expect(w.findAll('li')[1]!.attributes('aria-current')).toBe('step')
  })
})

describe('type size', () => {
  it('is set on the page and remembered', () => {
    applyScale('160')
    expect(document.documentElement.classList.contains('large')).toBe(true)
    expect(document.documentElement.dataset.scale).toBe('160')
    expect(savedScale()).toBe('160')
    applyScale('100')
    expect(document.documentElement.classList.contains('large')).toBe(false)
    expect(document.documentElement.dataset.scale).toBeUndefined()
  })
})

describe('components that speak', () => {
  const words = () => ({ t: (key: string) => `[${key}]`, errorText: (e: unknown) => (e as Error).message, traceOf: () => 'trace1' })
  const global = { provide: { [wordsKey as symbol]: words } }
  const query = { data: undefined as unknown, error: null as unknown, isPending: true, isError: false, fetchStatus: 'fetching', refetch: () => undefined }

  it('say what failed, what was kept and the request id in the words of the app', () => {
    const w = mount(FaultNote, { props: { error: new Error('no'), kept: true }, global })
    expect(w.text()).toContain('no')
    expect(w.text()).toContain('[state.kept]')
    expect(w.text()).toContain('[state.trace] trace1')
    expect(mount(FaultNote, { props: { error: null }, global }).text()).toBe('')
  })
  it('show each state of a reading', async () => {
    const w = mount(AsyncView, { props: { query }, slots: { default: 'content' }, global })
    expect(w.find('.skel').exists()).toBe(true)
    await w.setProps({ query: { ...query, isPending: false, isError: true, error: new Error('broken') } })
    expect(w.text()).toContain('broken')
    await w.setProps({ query: { ...query, isPending: false, data: [] }, empty: true })
    expect(w.text()).toContain('[state.empty]')
    await w.setProps({ query: { ...query, isPending: false, data: [1] }, empty: false })
    expect(w.text()).toBe('content')
  })
  it('fail with the way out when the app gives no words', () => {
    vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    expect(() => mount(FaultNote, { props: { error: new Error('x') } })).toThrow('app.provide(wordsKey, useWords)')
    expect(() => mount(AsyncView, { props: { query } })).toThrow('app.provide(wordsKey, useWords)')
  })
})

describe('a page that an update took away', () => {
  it('loads the application again, once, and other failures never', async () => {
    sessionStorage.clear()
    const assign = vi.spyOn(location, 'assign').mockImplementation(() => undefined)
    const gone = () => Promise.reject(new TypeError('Failed to fetch dynamically imported module: /m/assets/Old.js'))
    const broken = () => Promise.reject(new Error('broken'))
    const router = createRouter({ history: createMemoryHistory('/m/'), routes: [{ path: '/', component: { template: '' } }, { path: '/gone', component: gone }, { path: '/broken', component: broken }] })
    renewOnMissingPage(router)
    for (const path of ['/broken', '/gone', '/gone']) await router.push(path).catch(() => undefined)
    expect(assign.mock.calls).toEqual([['/m/gone']])
  })
})

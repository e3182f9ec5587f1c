import { describe, expect, it } from 'vitest'

const raw = import.meta.glob<string>(['../src/**/*.ts', '../src/**/*.vue', '../src/locales/*.json', '../../../packages/ui/src/*.vue'], { query: '?raw', import: 'default', eager: true })
const files = Object.fromEntries(Object.entries(raw).map(([path, code]) => [path.replace('../src/', ''), code]))
const read = (l: string) => JSON.parse(files[`locales/${l}.json`]!) as object
function flat(o: object, at = ''): Record<string, string> {
  return Object.assign({}, ...Object.entries(o).map(([k, v]) => (typeof v === 'string' ? { [at + k]: v } : flat(v as object, `${at}${k}.`))))
}
const lazy = (l: string) => ({ ...flat(read(`factors.${l}`), 'factors:'), ...flat(read(`privacy.${l}`), 'privacy:') })
const own = { zh: lazy('zh'), en: lazy('en') } // come with their screens
const zh = { ...flat(read('zh')), ...own.zh }
const en = { ...flat(read('en')), ...own.en }
const sources = Object.keys(files).filter((f) => /\.(ts|vue)$/.test(f))
const text = (f: string) => files[f]!

describe('texts', () => {
  it('and sources are found', () => expect(sources.length).toBeGreaterThan(30))
  it('exist in both languages', () => expect(Object.keys(en).sort()).toEqual(Object.keys(zh).sort()))
  it('take the same values in both', () => {
    const slots = (s: string) => (s.match(/\{\w+\}/g) ?? []).sort()
    for (const k of Object.keys(zh)) expect([k, slots(en[k]!)]).toEqual([k, slots(zh[k]!)])
  })
  it('are never empty, and English is English', () => {
    for (const k of Object.keys(zh)) {
      expect([k, zh[k]!.trim() !== '' && en[k]!.trim() !== '']).toEqual([k, true])
      if (k !== 'me.lang.zh') expect([k, /\p{Script=Han}/u.test(en[k]!)]).toEqual([k, false])
    }
  })
  it('all keys named in the code exist', () => {
    const missing: string[] = []
    for (const f of sources)
      for (const m of text(f).matchAll(/\bt\(\s*'([\w.]+)'/g)) if (!(m[1]! in zh)) missing.push(`${f}: ${m[1]}`)
    for (const f of sources)
      for (const m of text(f).matchAll(/\btf\(\s*'([\w.]+)'/g)) if (!(`factors:${m[1]}` in zh)) missing.push(`${f}: ${m[1]}`)
    for (const f of sources)
      for (const m of text(f).matchAll(/\btp\(\s*'([\w.]+)'/g)) if (!(`privacy:${m[1]}` in zh)) missing.push(`${f}: ${m[1]}`)
    for (const f of sources)
      for (const m of text(f).matchAll(/\bt\(\s*`([\w.]+)\.\$\{/g)) if (!Object.keys(zh).some((k) => k.startsWith(`${m[1]}.`))) missing.push(`${f}: ${m[1]}.*`)
    expect(missing).toEqual([])
  })
  it('no Chinese stands in the code', () => {
    // The icons of departments go by a word in the hospital's own names: data, not text for people.
    const found = sources.filter((f) => !f.endsWith('lib/departments.ts') && /\p{Script=Han}/u.test(text(f)))
    expect(found).toEqual([])
  })
})

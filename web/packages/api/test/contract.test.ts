import { expect, test } from 'vitest'

const files = import.meta.glob<string>('../src/{schema.d,staff}.ts', { query: '?raw', import: 'default', eager: true })
const text = (name: string) => Object.entries(files).find(([path]) => path.endsWith(name))![1]

/** The operations of the contract, from the types that are generated of it, as "get /desk/patients/{}". */
function contract(): Set<string> {
  const out = new Set<string>()
  let path = ''
  for (const line of text('schema.d.ts').split('\n')) {
    path = line.match(/^ {4}"\/api\/v1(\/[^"]*)": \{$/)?.[1] ?? path
    const method = line.match(/^ {8}(get|post|put|patch|delete): operations/)?.[1]
    if (method) out.add(`${method} ${path.replace(/\{[^}]+\}/g, '{}')}`)
  }
  return out
}

/** What the console's client calls, from its text: its calls are not typed by path. */
function called(): string[] {
  const source = text('staff.ts').replace(/\$\{act\}/g, 'done')
  const plain = [...source.matchAll(/\b(get|list|once)<(?:[^()]*)>\(\s*[`'](\/[^`']*)[`']/g)].map((m) => [m[1] === 'once' ? 'post' : 'get', m[2]!])
  const named = [...source.matchAll(/\bcall(?:<[^()]*>)?\('([A-Z]+)', [`'](\/[^`']*)[`']/g)].map((m) => [m[1]!.toLowerCase(), m[2]!])
  return [...plain, ...named].map(([method, path]) => `${method} ${path!.replace(/\$\{[^}]+\}/g, '{}')}`)
}

test('the console calls nothing that the contract does not have', () => {
  const known = contract()
  const calls = called()
  expect(known.size).toBeGreaterThan(100)
  expect(calls.length).toBeGreaterThan(60)
  expect(calls.filter((c) => !known.has(c))).toEqual([])
})

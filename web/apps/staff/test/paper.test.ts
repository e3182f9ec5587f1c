import { describe, expect, it } from 'vitest'
import { auditProof } from '../../../e2e/mock/audit.mjs'
import { computes, headOf } from '../src/areas/audit/paper'

const rows = (n: number) =>
  Array.from({ length: n }, (_, i) => ({ id: crypto.randomUUID(), at: new Date(1_772_413_200_000 - i * 1000).toISOString(), context: 'shelf', actor: `staff:${i}`, action: 'shelf.put', noun: 'Book', object: '中文', policy: 'p', why: '', changed: {}, origin: 'x', trace: 't', number: '' }))

describe('a proof', () => {
  it('comes out for every place in logs of every size', async () => {
    for (const n of [1, 2, 3, 5, 8, 12, 17]) {
      const all = rows(n)
      for (const [i, e] of all.entries()) {
        const p = auditProof(all, e.id)
        expect(p.position).toBe(n - 1 - i)
        expect(await computes(p), `${i} of ${n}`).toBe(true)
      }
    }
  })
  it('does not come out when anything of it is changed', async () => {
    const all = rows(12)
    const p = auditProof(all, all[4]!.id)
    const swapped = [...p.path.slice(1), p.path[0]!]
    for (const bad of [{ data: p.data.replace('staff:4', 'staff:5') }, { kind: 'audit.event.v2' }, { position: p.position + 1 }, { position: 99 }, { path: p.path.slice(1) }, { path: swapped }, { path: [...p.path, p.path[0]!] }, { head: 'x' }])
      expect(await computes({ ...p, ...bad }), JSON.stringify(bad).slice(0, 40)).toBe(false)
  })
  it('reads the head as it is signed', () => {
    const all = rows(5)
    const head = headOf(auditProof(all, all[0]!.id).head)
    expect(head).toMatchObject({ size: 5, keys: 2, witnesses: 1 })
    expect(headOf('nothing')).toBeNull()
  })
})

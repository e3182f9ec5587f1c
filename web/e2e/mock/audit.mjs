// The audit log of the stand-in: a real tree under SHA-256, so that what the browser computes comes out.
import { createHash } from 'node:crypto'

const sha = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest()
const node = (l, r) => sha(Buffer.from([1]), l, r)
/** RFC 6962: the largest power of two below n. */
const split = (n) => 2 ** Math.floor(Math.log2(n - 1))
const root = (leaves) => (leaves.length === 1 ? leaves[0] : node(root(leaves.slice(0, split(leaves.length))), root(leaves.slice(split(leaves.length)))))
function path(m, leaves) {
  if (leaves.length === 1) return []
  const k = split(leaves.length)
  return m < k ? [...path(m, leaves.slice(0, k)), root(leaves.slice(k))] : [...path(m - k, leaves.slice(k)), root(leaves.slice(0, k))]
}

const origin = 'xinglin/audit/01900000-0000-7000-8000-00000000a001'
const keys = ['9f7d8a36daff19b2c1a07a3a0f4bcb1e5a20f0b7d6b1c9a2f6630e1d2c3b4a59', '7633620dce918b95a0c4e7d1b2f3a4958677f1e2d3c4b5a69788796a5b4c3d2e']
const pem = '-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n-----END PUBLIC KEY-----\n'

/** The oldest entry stands at 0. */
const entries = (rows) => rows.toReversed().map((e) => ({ id: e.id, data: JSON.stringify({ id: e.id, at_us: Date.parse(e.at) * 1000, context: e.context, actor: e.actor, action: e.action, noun: e.noun, object: e.object, policy: e.policy, why: e.why, changed: e.changed, origin: e.origin, trace: e.trace, number: e.number, class: 'operation' }) }))
const leaf = (e) => sha(Buffer.from([0]), Buffer.from(`audit.event.v1\n${e.data}`))

function head(number, leaves, at) {
  const r = root(leaves)
  const line = (name) => `— ${name} ${Buffer.alloc(68, 7).toString('base64')}\n`
  const note = `${origin}\n${leaves.length}\n${r.toString('base64')}\nsm3 ${Buffer.alloc(32, 9).toString('base64')}\nnumber ${number}\nat ${at.toISOString().replace('Z', '000Z')}\n\n${line(origin)}${line(origin)}${line('xinglin-witness')}`
  return { number, size: leaves.length, at: at.toISOString(), sha256: r.toString('base64'), sm3: Buffer.alloc(32, 9).toString('base64'), note, signed_by: keys, anchored_at: new Date(+at + 1000).toISOString(), witnessed_at: new Date(+at + 2000).toISOString() }
}

/** Heads, the newest first, and the chain around them. */
export function auditLog(rows) {
  const all = entries(rows)
  const leaves = all.map(leaf)
  const began = Date.parse(rows.at(-1)?.at ?? 0)
  const heads = [4, 9, rows.length].filter((n) => n <= rows.length && n > 0).map((n, i) => head(i + 1, leaves.slice(0, n), new Date(began + n * 400_000))).toReversed()
  const log = { origin, size: rows.length + 3, unsigned: 3, head: heads[0], anchored: heads[0], witnessed: heads[1], keys: pem, witness_key: '5d'.repeat(32), generation: 2, key_changes: [{ generation: 2, at: heads[1]?.at, from_head: 2, position: 6 }], beginning: 2, beginnings: [{ number: 2, at: heads[1]?.at, position: 7, kept: 4, lost_head: 3, lost_size: 15 }], segments: 1, sealed: 4, disposed: 0 }
  return { log, heads, all, leaves }
}

export function auditProof(rows, id) {
  const { heads, all, leaves } = auditLog(rows)
  const at = all.findIndex((e) => e.id === id)
  if (at < 0) return null
  return { format: 'xinglin.proof.v1', position: at, kind: 'audit.event.v1', data: all[at].data, path: path(at, leaves).map((n) => Buffer.concat([n, Buffer.alloc(32, 9)]).toString('base64')), head: heads[0].note, keys: pem }
}

export function auditConsistency(rows, earlier, later) {
  const { heads } = auditLog(rows)
  const [a, b] = [earlier, later].map((n) => heads.find((h) => h.number === n))
  return a && b ? { format: 'xinglin.consistency.v1', earlier: a.note, later: b.note, path: [], keys: pem } : null
}

export function auditSearch(rows, b) {
  return rows.filter((e) => (!b.person || e.object === b.person || e.actor.endsWith(`:${b.person}`)) && (!b.actor || e.actor === b.actor) && (!b.action || e.action === b.action) && (!b.noun || e.noun === b.noun) && (!b.object || e.object === b.object) && (!b.from || e.at >= b.from) && (!b.to || e.at < b.to))
}

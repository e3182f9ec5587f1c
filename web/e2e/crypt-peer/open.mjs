// A foreign implementation of the sealed form (internal/platform/crypt/format.go): it
// opens fields with an exported key by Node's own crypto (AES-256-GCM) and by npm
// sm-crypto-v2 (SM4-GCM, HMAC-SM3), and shares no code with the product.
//
// stdin: JSON [{ op: "open", key, sealed, tenant, table, column, row } |
//              { op: "index", algorithm, key, purpose, value }], bytes in hex.
// stdout: JSON [{ ok: hex } | { error: text }]. Modules come from XINGLIN_NODE_MODULES or the
// node_modules folders above this file.
import { createDecipheriv, createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const modules = process.env.XINGLIN_NODE_MODULES
const require = createRequire(modules ? join(modules, 'x.js') : import.meta.url)
const { sm3, sm4 } = require('sm-crypto-v2')

const AES = 1
const SM4 = 2

function open({ key, sealed, tenant, table, column, row }) {
  const raw = Buffer.from(key, 'hex')
  const box = Buffer.from(sealed, 'hex')
  if (box.length < 46 || box[0] !== 1) throw new Error('no sealed field of version 1')
  const algorithm = box[1]
  const nonce = box.subarray(18, 30)
  const body = box.subarray(30, box.length - 16)
  const tag = box.subarray(box.length - 16)
  const aad = Buffer.from(['xinglin/v1', tenant, table, column, row].join('\0'), 'utf8')
  if (algorithm === AES && raw.length === 32) {
    const d = createDecipheriv('aes-256-gcm', raw, nonce, { authTagLength: 16 })
    d.setAAD(aad)
    d.setAuthTag(tag)
    return Buffer.concat([d.update(body), d.final()])
  }
  if (algorithm === SM4 && raw.length === 16) {
    const plain = sm4.decrypt(new Uint8Array(body), new Uint8Array(raw), {
      mode: 'gcm',
      padding: 'none',
      iv: new Uint8Array(nonce),
      associatedData: new Uint8Array(aad),
      tag: new Uint8Array(tag),
      output: 'array',
    })
    return Buffer.from(plain)
  }
  throw new Error('unknown algorithm or a key of another size')
}

function index({ algorithm, key, purpose, value }) {
  const raw = Buffer.from(key, 'hex')
  const text = Buffer.from(['xinglin/index/v1', purpose, value].join('\0'), 'utf8')
  if (algorithm === AES) return createHmac('sha256', raw).update(text).digest()
  return Buffer.from(sm3(new Uint8Array(text), { key: new Uint8Array(raw) }), 'hex')
}

const answers = JSON.parse(readFileSync(0, 'utf8')).map((q) => {
  try {
    return { ok: (q.op === 'index' ? index(q) : open(q)).toString('hex') }
  } catch (e) {
    return { error: String(e.message ?? e) }
  }
})
process.stdout.write(JSON.stringify(answers))

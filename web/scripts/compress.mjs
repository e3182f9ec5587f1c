// Writes NAME.gz and NAME.br beside every file of a folder that gains by it, so that the server never compresses.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const root = process.argv[2] ?? 'dist'
const worth = /\.(html|js|css|json|svg|webmanifest|txt)$/
let files = 0
for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !worth.test(entry.name)) continue
  const path = join(entry.parentPath, entry.name)
  const raw = readFileSync(path)
  const made = {
    '.gz': gzipSync(raw, { level: 9 }),
    '.br': brotliCompressSync(raw, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: raw.length } }),
  }
  for (const [ending, packed] of Object.entries(made)) {
    if (packed.length < raw.length) writeFileSync(path + ending, packed)
    else rmSync(path + ending, { force: true })
  }
  files++
}
console.log(`compressed ${files} files`)

// Fails when the patient's application grows over its budget. Sizes are gzip -9 of what a first visit loads, and of what each lazy
// page adds to it.
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

const dist = new URL('../dist/m/', import.meta.url)
const limit = { js: 95, css: 12, route: 25 } // KiB
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', dist), 'utf8'))
const size = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length / 1024

function closure(key, seen = new Set()) {
  if (seen.has(key)) return seen
  seen.add(key)
  for (const k of manifest[key].imports ?? []) closure(k, seen)
  return seen
}
const sum = (keys, pick) => [...new Set([...keys].flatMap(pick))].reduce((a, f) => a + size(f), 0)
const js = (k) => [manifest[k].file].filter((f) => f.endsWith('.js'))
const css = (k) => manifest[k].css ?? []

const entry = Object.keys(manifest).find((k) => manifest[k].isEntry)
const first = closure(entry)
let failed = false
function report(name, value, max) {
  const over = value > max
  failed ||= over
  console.log(`${over ? 'OVER' : 'ok  '} ${name.padEnd(40)} ${value.toFixed(1).padStart(6)} / ${max} KiB`)
}
report('first load, JS', sum(first, js), limit.js)
report('first load, CSS', sum(first, css), limit.css)
for (const key of Object.keys(manifest).filter((k) => manifest[k].isDynamicEntry)) {
  const extra = [...closure(key)].filter((k) => !first.has(k))
  report(manifest[key].name ?? key, sum(extra, js) + sum(extra, css), limit.route)
}
if (failed) process.exit(1)

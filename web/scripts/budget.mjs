// Fails when an application grows over its budget. Sizes are gzip -9 of what a first visit loads, and of what each lazy
// page adds to it.
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

const apps = [
  { name: 'patient', dist: 'm', js: 95, css: 12, route: 25 }, // KiB
  { name: 'staff', dist: 'console', js: 120, css: 20, route: 130 },
  { name: 'wall', dist: 'wall', js: 40, css: 8, route: 0 },
]
let failed = false
function report(name, value, max) {
  const over = value > max
  failed ||= over
  console.log(`${over ? 'OVER' : 'ok  '} ${name.padEnd(48)} ${value.toFixed(1).padStart(6)} / ${max} KiB`)
}

for (const app of apps) {
  const dist = new URL(`../dist/${app.dist}/`, import.meta.url)
  const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', dist), 'utf8'))
  const size = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length / 1024
  const closure = (key, seen = new Set()) => {
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
  report(`${app.name}: first load, JS`, sum(first, js), app.js)
  report(`${app.name}: first load, CSS`, sum(first, css), app.css)
  for (const key of Object.keys(manifest).filter((k) => manifest[k].isDynamicEntry)) {
    const extra = [...closure(key)].filter((k) => !first.has(k))
    report(`${app.name}: ${manifest[key].name ?? key}`, sum(extra, js) + sum(extra, css), app.route)
  }
}
if (failed) process.exit(1)

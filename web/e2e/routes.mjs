// The pages of the patient's application as its router names them, and which of them were looked at.
import { readFileSync } from 'node:fs'

const source = readFileSync(new URL('../apps/patient/src/router.ts', import.meta.url), 'utf8')
/** Name and pattern; what stands in the path goes before what may be anything. */
export const routes = [...source.matchAll(/path: '([^']+)',\s*name: '([\w-]+)'/g)]
  .map(([, path, name]) => ({ name, path, pattern: new RegExp(`^/m${path.replace(/:rest.*$/, '.*').replace(/:[^/]+/g, '[^/]+')}$`) }))
  .sort((a, b) => a.path.split(':').length - b.path.split(':').length || Number(a.name === 'lost') - Number(b.name === 'lost'))
if (routes.length < 20) throw new Error(`${routes.length} routes found in router.ts`)

const seen = new Set()

/** The route of an address; undefined for pages of others. */
export const nameOf = (url) => routes.find((r) => r.pattern.test(new URL(url).pathname))?.name

/** Notes the page of an address as looked at. */
export function visit(url) {
  const name = nameOf(url)
  if (name) seen.add(name)
}

export const unvisited = () => routes.map((r) => r.name).filter((n) => !seen.has(n))

// Generates src/schema.d.ts from api/openapi.yaml, which the Go side writes (`xinglin docs`). With --check nothing is written: the
// text is rendered in memory and compared.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import openapiTS, { astToString } from 'openapi-typescript'

const target = fileURLToPath(new URL('./src/schema.d.ts', import.meta.url))
const tree = await openapiTS(new URL('../../../api/openapi.yaml', import.meta.url))
const text = `// Generated from api/openapi.yaml by \`npm run gen\`; do not edit.\n\n${astToString(tree)}`

if (!process.argv.includes('--check')) {
  writeFileSync(target, text)
  console.log('schema.d.ts written from api/openapi.yaml')
} else if (!existsSync(target) || readFileSync(target, 'utf8') !== text) {
  console.error('schema.d.ts differs from api/openapi.yaml: npm run gen')
  process.exit(1)
} else {
  console.log('schema.d.ts matches api/openapi.yaml')
}

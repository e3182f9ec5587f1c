// Generates src/schema.d.ts from the OpenAPI document: the one that the Go side generates when it exists, else the draft beside
// this file. With --check nothing is written: the text is rendered in memory and compared.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import openapiTS, { astToString } from 'openapi-typescript'

const final = new URL('../../../api/openapi.yaml', import.meta.url)
const draft = new URL('./draft-openapi.yaml', import.meta.url)
const target = fileURLToPath(new URL('./src/schema.d.ts', import.meta.url))

const source = existsSync(final) ? final : draft
const name = source === final ? 'api/openapi.yaml' : 'draft-openapi.yaml'
const text = `// Generated from ${name} by \`npm run gen\`; do not edit.\n\n${astToString(await openapiTS(source))}`

if (!process.argv.includes('--check')) {
  writeFileSync(target, text)
  console.log(`schema.d.ts written from ${name}`)
} else if (!existsSync(target) || readFileSync(target, 'utf8') !== text) {
  console.error(`schema.d.ts differs from ${name}: npm run gen`)
  process.exit(1)
} else {
  console.log(`schema.d.ts matches ${name}`)
}

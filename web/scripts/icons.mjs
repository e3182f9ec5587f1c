// Makes the application's icons from public/icon.svg with the browser of the tests: `npm run icons`. The pictures are committed, a build
// needs no browser. A maskable icon fills its square, and its sign lies inside the middle 80 %, which every shape of a phone keeps.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { findBrowser, flags } from '../e2e/browser.mjs'

const folder = fileURLToPath(new URL('../apps/patient/public/', import.meta.url))
const svg = readFileSync(`${folder}icon.svg`, 'utf8')
// The badge of a notice is a shape in one colour: the flower and leaf cut out of nothing.
const flat = svg.replace(/#0b6e6e|#d9722e/g, '#ffffff').replace(/<path d="M15[^>]*>/, '')
const icons = [
  { file: 'icon-192.png', size: 192, part: 0.92, ground: 'transparent', svg },
  { file: 'icon-512.png', size: 512, part: 0.92, ground: 'transparent', svg },
  { file: 'icon-maskable-512.png', size: 512, part: 0.6, ground: '#fff3e8', svg },
  { file: 'apple-touch-icon.png', size: 180, part: 0.72, ground: '#fff3e8', svg },
  { file: 'badge-96.png', size: 96, part: 0.9, ground: 'transparent', svg: flat },
]
const browser = await chromium.launch({ executablePath: findBrowser(), args: flags })
try {
  const page = await browser.newPage({ deviceScaleFactor: 1 })
  for (const i of icons) {
    await page.setViewportSize({ width: i.size, height: i.size })
    await page.setContent(`<style>html,body{margin:0;background:${i.ground}}body{display:grid;place-items:center;height:100vh}svg{width:${i.part * 100}vw;height:${i.part * 100}vw}</style>${i.svg}`)
    writeFileSync(`${folder}${i.file}`, await page.screenshot({ omitBackground: true }))
    console.log(i.file)
  }
} finally {
  await browser.close()
}

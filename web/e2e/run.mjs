// Walks a patient's whole path in a headless Chromium against a running server and looks at every screen.
//   npm run e2e -- --base http://127.0.0.1:8080 [--shots DIR] [--phone 13800000001] [--only phone-zh-normal] [--states]
// --states also visits error, empty, slow and lost-slot screens; only the mock server can make those.
import { mkdirSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { findBrowser, flags } from './browser.mjs'
import { checkScreen } from './checks.mjs'
import { walk } from './walk.mjs'
import { walkStates } from './states.mjs'

const arg = (name, fallback) => {
  const i = process.argv.indexOf(`--${name}`)
  return i > 0 ? process.argv[i + 1] : fallback
}
const base = arg('base', 'http://127.0.0.1:8080').replace(/\/$/, '')
const shots = arg('shots', '')
const only = arg('only', '')
if (shots) mkdirSync(shots, { recursive: true })

const variants = []
for (const [size, viewport] of Object.entries({ phone: { width: 390, height: 844 }, desk: { width: 1440, height: 900 } }))
  for (const lang of ['zh', 'en']) for (const scale of ['100', '131']) variants.push({ name: `${size}-${lang}-${scale === '100' ? 'normal' : 'large'}`, viewport, lang, scale })

const browser = await chromium.launch({ executablePath: findBrowser(), args: flags, headless: true })
const failures = []
let screens = 0
try {
  for (const [index, v] of variants.entries()) {
    if (only && !v.name.includes(only)) continue
    const context = await browser.newContext({ viewport: v.viewport, locale: v.lang === 'zh' ? 'zh-CN' : 'en-GB', timezoneId: 'Asia/Shanghai', deviceScaleFactor: 1 })
    await context.addInitScript(
      ([lang, scale]) => {
        if (!localStorage.getItem('xinglin.display.lang')) localStorage.setItem('xinglin.display.lang', lang)
        if (!localStorage.getItem('xinglin.display.scale')) localStorage.setItem('xinglin.display.scale', scale)
      },
      [v.lang, v.scale],
    )
    const page = await context.newPage()
    page.setDefaultTimeout(15_000)
    const expected = [] // patterns of faults that a step provokes on purpose
    const wrong = (text) => {
      if (!expected.some((p) => p.test(text))) failures.push(`${v.name}: ${text}`)
    }
    page.on('console', (m) => m.type() === 'error' && wrong(`console: ${m.text()} ${m.location().url}`))
    page.on('pageerror', (e) => wrong(`exception: ${e.message}`))
    page.on('requestfailed', (r) => {
      const cancelled = r.failure()?.errorText === 'net::ERR_ABORTED' // a page left behind ends its own reads
      if (!cancelled) wrong(`request failed: ${r.url()} ${r.failure()?.errorText}`)
    })
    page.on('response', (r) => r.status() >= 400 && wrong(`answer ${r.status()}: ${r.url()}`))
    page.on('request', (r) => {
      const u = new URL(r.url())
      if (!['data:', 'blob:'].includes(u.protocol) && u.hostname !== new URL(base).hostname) wrong(`foreign origin: ${r.url()}`)
    })
    let n = 0
    const look = async (name) => {
      screens++
      // The cashier is a page of the payment service's simulator: looked at, not judged.
      if (shots) await page.screenshot({ path: `${shots}/${v.name}-${String(++n).padStart(2, '0')}-${name}.png`, fullPage: false })
      failures.push(...(await checkScreen(page, `${v.name} ${name}`, { large: v.scale !== '100' })))
    }
    const states = process.argv.includes('--states')
    if (states) await page.request.post(`${base}/__mock/reset`)
    const started = performance.now()
    try {
      await walk({ page, base, look, index, phone: arg('phone', ''), lang: v.lang })
      if (states) await walkStates({ page, base, look, expected })
    } catch (e) {
      failures.push(`${v.name}: ${e.message.split('\n').slice(0, 4).join(' ')} at ${page.url()}`)
      if (shots) await page.screenshot({ path: `${shots}/${v.name}-failed.png` })
    }
    console.log(`${v.name}: ${n || screens} screens, ${((performance.now() - started) / 1000).toFixed(1)} s`)
    await context.close()
  }
} finally {
  await browser.close()
}
const unique = [...new Set(failures)]
for (const f of unique) console.error(`FAIL ${f}`)
console.log(`${screens} screens looked at`)
console.log(`${unique.length ? 0 : 1} passed, ${unique.length} failed`)
process.exit(unique.length ? 1 : 0)

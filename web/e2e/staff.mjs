// Looks at every screen of the console in a headless Chromium.
//   npm run e2e:staff                    the stand-in for every route, state and act, then the real program (XINGLIN_BIN or ../bin/xinglin)
//   npm run e2e:staff -- --all           both sizes in both languages
//   npm run e2e:staff -- --base URL      against a server that runs already with --demo
// Also: --shots DIR, --only small-en, --paths routes,hands,walk. A route of the router without a visited state fails. The last line counts.
import { mkdirSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { findBrowser, flags, twoLanes } from './browser.mjs'
import { checkScreen } from './checks.mjs'
import { startStaffMock, startXinglin, useServer } from './server.mjs'
import { routeNames, walkStaffHands, walkStaffRoutes } from './staff-states.mjs'
import { walkStaff } from './staff-walk.mjs'

const arg = (name, fallback) => {
  const i = process.argv.indexOf(`--${name}`)
  return i > 0 ? process.argv[i + 1] : fallback
}
const shots = arg('shots', '')
const only = arg('only', '')
if (shots) mkdirSync(shots, { recursive: true })

const sizes = { desk: { width: 1440, height: 900 }, small: { width: 1024, height: 768 } }
const all = Object.entries(sizes).flatMap(([size, viewport]) => ['zh', 'en'].map((lang) => ({ name: `${size}-${lang}`, viewport, lang })))
const few = ['desk-zh', 'small-en']
const wanted = (usual) => all.filter((v) => (only ? only.split(',').includes(v.name) : process.argv.includes('--all') || usual.includes(v.name)))

const failures = new Set()
function fail(text) {
  if (!failures.has(text)) console.log(`FAIL ${text}`)
  failures.add(text)
}
let passed = 0

/** One variant of a path. Each screen counts, and the variant itself: that it ends, and that nothing failed behind it. */
async function variant(browser, base, v, path) {
  const before = failures.size
  const wrong = (text) => fail(`${v.name}: ${text}`)
  const expected = []
  const visited = new Set()
  const context = await browser.newContext({ viewport: v.viewport, locale: v.lang === 'zh' ? 'zh-CN' : 'en-GB', timezoneId: 'Asia/Shanghai', deviceScaleFactor: 1, reducedMotion: 'reduce' })
  await context.addInitScript((lang) => {
    if (!localStorage.getItem('xinglin.display.lang')) localStorage.setItem('xinglin.display.lang', lang)
  }, v.lang)
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  const report = (text) => expected.some((p) => p.test(text)) || wrong(text)
  page.on('console', (m) => m.type() === 'error' && report(`console: ${m.text()} ${m.location().url}`))
  page.on('pageerror', (e) => report(`exception: ${e.message}`))
  page.on('requestfailed', (r) => r.failure()?.errorText !== 'net::ERR_ABORTED' && report(`request failed: ${r.url()} ${r.failure()?.errorText}`))
  page.on('response', (r) => r.status() >= 400 && report(`answer ${r.status()}: ${r.url()}`))
  page.on('request', (r) => {
    const u = new URL(r.url())
    if (!['data:', 'blob:'].includes(u.protocol) && u.origin !== new URL(base).origin) report(`foreign origin: ${r.url()}`)
  })
  let n = 0
  const look = async (name) => {
    n++
    visited.add(await page.evaluate(() => document.documentElement.dataset.route ?? ''))
    if (shots) await page.screenshot({ path: `${shots}/${v.name}-${String(n).padStart(3, '0')}-${name}.png` })
    const problems = await checkScreen(page, `${v.name} ${name}`, { large: false, dense: true })
    if (!problems.length) passed++
    for (const p of problems) fail(p)
  }
  const started = performance.now()
  let timer
  const tooLong = new Promise((_, no) => {
    timer = setTimeout(() => no(new Error('not done after 600 s')), 600_000)
  })
  try {
    await Promise.race([path({ page, base, look, expected, lang: v.lang, visited }), tooLong])
  } catch (e) {
    wrong(`${e.message.split('\n').slice(0, 4).join(' ')} at ${page.url()}`)
    if (shots) await page.screenshot({ path: `${shots}/${v.name}-failed.png` }).catch(() => {})
  } finally {
    clearTimeout(timer)
    await context.close()
  }
  if (failures.size === before) passed++
  console.log(`${v.name}: ${n} screens, ${((performance.now() - started) / 1000).toFixed(1)} s`)
  return visited
}

/** A job for each variant: a server of its own, the path, and the server's end whatever happens. */
const against = (start, browser, variants, path, whole) =>
  variants.map((v) => async () => {
    const server = await start()
    try {
      const visited = await variant(browser, server.base, v, path)
      if (whole) for (const name of routeNames()) if (!visited.has(name)) fail(`${v.name}: the route ${name} was not visited`)
    } finally {
      await server.stop()
    }
  })

const base = arg('base', '').replace(/\/$/, '')
const paths = arg('paths', 'routes,hands,walk').split(',')
const browser = await chromium.launch({ executablePath: findBrowser(), args: flags, headless: true })
try {
  const named = (path) => wanted(few).map((v) => ({ ...v, name: `${path}-${v.name}` }))
  await twoLanes([
    ...(paths.includes('routes') ? against(startStaffMock, browser, named('routes'), walkStaffRoutes, true) : []),
    ...(paths.includes('hands') ? against(startStaffMock, browser, named('hands'), walkStaffHands, false) : []),
    ...(paths.includes('walk') ? against(base ? () => useServer(base) : () => startXinglin(), browser, wanted(['desk-zh']), walkStaff, false) : []),
  ])
} catch (e) {
  fail(e.message)
} finally {
  await browser.close()
}
console.log(`${passed} passed, ${failures.size} failed`)
process.exit(failures.size ? 1 : 0)

// Walks a patient's whole path in a headless Chromium and looks at every screen.
//   npm run e2e                          starts the real program (XINGLIN_BIN or ../bin/xinglin), then the stand-in for states
//   npm run e2e -- --all                 every size, language and type size
//   npm run e2e -- --base URL            against a server that runs already with --demo
// Also: --shots DIR, --only desk-en,largest, --phone 13800000001, --paths walk,states,sweep,trouble,rush,wall,eight,day,passkeys. The last line counts screens and variants.
import { mkdirSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { findBrowser, flags, twoLanes } from './browser.mjs'
import { checkScreen } from './checks.mjs'
import { startAtEight, startInTheMorning, startMock, startXinglin, useServer } from './server.mjs'
import { walk } from './walk.mjs'
import { walkDay } from './day.mjs'
import { walkPasskeys } from './passkeys.mjs'
import { walkRush, walkRushStates } from './rush.mjs'
import { unvisited, visit } from './routes.mjs'
import { walkStates } from './states.mjs'
import { walkSweep } from './sweep.mjs'
import { walkTrouble } from './trouble.mjs'
import { walkWall } from './wall.mjs'

const arg = (name, fallback) => {
  const i = process.argv.indexOf(`--${name}`)
  return i > 0 ? process.argv[i + 1] : fallback
}
const flag = (name) => process.argv.includes(`--${name}`)
const shots = arg('shots', '')
const only = arg('only', '')
if (shots) mkdirSync(shots, { recursive: true })

const sizes = { phone: { width: 390, height: 844 }, desk: { width: 1440, height: 900 } }
const scales = { normal: '100', large: '131', larger: '160', largest: '190' }
const all = []
for (const [size, viewport] of Object.entries(sizes))
  for (const lang of ['zh', 'en'])
    for (const [word, scale] of Object.entries(scales)) {
      // The two biggest types are a matter of narrow pages.
      if (size === 'phone' || scale <= 131) all.push({ name: `${size}-${lang}-${word}`, viewport, lang, scale, limit: 240_000 })
    }
const few = ['phone-zh-normal', 'phone-en-large', 'desk-zh-normal']
const chosen = all.filter((v) => (only ? only.split(',').some((o) => v.name.includes(o)) : flag('all') || few.includes(v.name)))

const screens = { full: { width: 1920, height: 1080 }, small: { width: 1366, height: 768 }, tall: { width: 1080, height: 1920 } }
const walls = Object.entries(screens).flatMap(([size, viewport]) => ['zh', 'en'].map((lang) => ({ name: `wall-${size}-${lang}`, viewport, lang, scale: '100', wall: true, limit: 240_000 })))

const failures = new Set()
function fail(text) {
  if (!failures.has(text)) console.log(`FAIL ${text}`)
  failures.add(text)
}
let passed = 0

/** Opens a page that reports whatever goes wrong behind the screen. */
async function open(browser, base, v, expected, wrong) {
  const context = await browser.newContext({ viewport: v.viewport, locale: v.lang === 'zh' ? 'zh-CN' : 'en-GB', timezoneId: 'Asia/Shanghai', deviceScaleFactor: 1 })
  await context.addInitScript(
    ([lang, scale]) => {
      if (!localStorage.getItem('xinglin.display.lang')) localStorage.setItem('xinglin.display.lang', lang)
      if (!localStorage.getItem('xinglin.display.scale')) localStorage.setItem('xinglin.display.scale', scale)
    },
    [v.lang, v.scale],
  )
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  const report = (text) => expected.some((p) => p.test(text)) || wrong(text)
  page.on('console', (m) => m.type() === 'error' && report(`console: ${m.text()} ${m.location().url}`))
  page.on('pageerror', (e) => report(`exception: ${e.message}`))
  page.on('requestfailed', (r) => {
    const cancelled = r.failure()?.errorText === 'net::ERR_ABORTED' // a page left behind ends its own reads
    if (!cancelled) report(`request failed: ${r.url()} ${r.failure()?.errorText}`)
  })
  page.on('response', (r) => r.status() >= 400 && report(`answer ${r.status()}: ${r.url()}`))
  // The cashier belongs to the payment service: another port of this machine in the demo.
  page.on('request', (r) => {
    const u = new URL(r.url())
    if (!['data:', 'blob:'].includes(u.protocol) && u.hostname !== new URL(base).hostname && u.hostname !== 'localhost') report(`foreign origin: ${r.url()}`)
  })
  return { context, page }
}

/** One variant from beginning to end. Each screen counts, and the variant itself: that the path ends and nothing failed behind it. */
async function variant(browser, base, v, path) {
  const before = failures.size
  const wrong = (text) => fail(`${v.name}: ${text}`)
  const expected = [] // patterns of faults that a step provokes on purpose
  const { context, page } = await open(browser, base, v, expected, wrong)
  let n = 0
  const look = async (name) => {
    n++
    visit(page.url())
    if (shots) await page.screenshot({ path: `${shots}/${v.name}-${String(n).padStart(2, '0')}-${name}.png` })
    const office = page.url().includes('/console/') // it has no large type
    const problems = await checkScreen(page, `${v.name} ${name}`, { large: v.scale !== '100' && !office, wall: v.wall, dense: office })
    if (!problems.length) passed++
    for (const p of problems) fail(p)
  }
  const started = performance.now()
  let timer
  const tooLong = new Promise((_, no) => {
    timer = setTimeout(() => no(new Error(`not done after ${v.limit / 1000} s`)), v.limit)
  })
  try {
    await Promise.race([path({ page, base, look, expected, lang: v.lang, index: all.indexOf(v), phone: arg('phone', '') }), tooLong])
  } catch (e) {
    wrong(`${e.message.split('\n').slice(0, 4).join(' ')} at ${page.url()}`)
    if (shots) await page.screenshot({ path: `${shots}/${v.name}-failed.png` }).catch(() => {})
  } finally {
    clearTimeout(timer)
    await context.close()
  }
  if (failures.size === before) passed++
  console.log(`${v.name}: ${n} screens, ${((performance.now() - started) / 1000).toFixed(1)} s`)
}

/** A job for each variant: a server of its own, the path, and the server's end whatever happens. */
const against = (start, browser, variants, path) =>
  variants.map((v) => async () => {
    try {
      const server = await start()
      if (server.readyMs) console.log(`the program was ready after ${(server.readyMs / 1000).toFixed(1)} s`)
      try {
        await variant(browser, server.base, v, path)
      } finally {
        await server.stop()
      }
    } catch (e) {
      fail(`${v.name}: ${e.message}`)
    }
  })

const base = arg('base', '').replace(/\/$/, '')
const browser = await chromium.launch({ executablePath: findBrowser(), args: flags, headless: true })
const paths = arg('paths', flag('no-states') ? 'walk' : 'walk,states,sweep,trouble,rush,wall,eight,day,passkeys').split(',')
/** The variants of a path: those named, or all that it is worth looking at. */
const among = (usual, wide, prefix) => all.filter((v) => (only ? only.split(',').some((o) => v.name.includes(o)) : (flag('all') ? wide : usual).includes(v.name))).map((v) => ({ ...v, name: `${prefix}-${v.name}`, limit: 600_000 }))
const wide = [...few, 'phone-en-largest']
try {
  const mocked = (usual, more, name, path) => (paths.includes(name) ? against(startMock, browser, among(usual, more, name), path) : [])
  const alone = (name) => (paths.includes(name) && !base ? all.slice(0, 1).map((v) => ({ ...v, name: `${name}-${v.name}` })) : [])
  const jobs = [
    ...(paths.includes('walk') ? against(base ? () => useServer(base) : startXinglin, browser, chosen, walk) : []),
    ...mocked(['phone-zh-normal'], wide, 'states', walkStates),
    ...mocked([...few, 'desk-en-normal'], [...wide, 'desk-en-normal', 'phone-zh-large'], 'rush', walkRushStates),
    ...mocked(['phone-zh-normal'], few, 'sweep', walkSweep),
    ...mocked(['phone-zh-normal', 'phone-en-large'], wide, 'trouble', walkTrouble),
    ...(paths.includes('wall') ? against(startMock, browser, walls.filter((v) => !only || only.split(',').some((o) => v.name.includes(o))), walkWall) : []),
    ...against(startInTheMorning, browser, alone('day'), walkDay),
    ...(paths.includes('passkeys') && !base ? against(startXinglin, browser, among(['phone-zh-normal', 'desk-en-normal'], [...wide, 'desk-en-normal'], 'passkeys'), walkPasskeys) : []),
  ]
  // The real release takes its two minutes, mostly of waiting: the others go on meanwhile.
  const eight = Promise.all(against(startAtEight, browser, alone('eight'), walkRush).map((job) => job()))
  await twoLanes(jobs)
  await eight
  // A page that nobody looked at is a page that nobody tested.
  if (!only && ['walk', 'states', 'sweep', 'trouble', 'rush'].every((p) => paths.includes(p))) for (const name of unvisited()) fail(`the route ${name} was never looked at`)
} catch (e) {
  fail(e.message)
} finally {
  await browser.close()
}
console.log(`${passed} passed, ${failures.size} failed`)
process.exit(failures.size ? 1 : 0)

// Makes the pictures of the READMEs and guides from the real demo, with simulated patients in it:
// docs/images/{home,doctor,pay,done,visit}.png of the phone, {queue,week,desk,today}.png of the console, wall.png.
//   npm run shots [-- --base URL] [-- --out DIR]
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { findBrowser, flags } from './browser.mjs'
import { startXinglin, useServer } from './server.mjs'
import { api, login } from './walk.mjs'

const arg = (name, fallback) => {
  const i = process.argv.indexOf(`--${name}`)
  return i > 0 ? process.argv[i + 1] : fallback
}
const out = arg('out', fileURLToPath(new URL('../../docs/images/', import.meta.url)))
const most = 200_000 // bytes of a picture
mkdirSync(out, { recursive: true })

/** A specialist with free numbers a few days ahead. */
async function openSession(base) {
  for (const d of await api(base, '/departments')) {
    const all = await api(base, `/schedules?department_id=${d.id}`)
    const days = [...new Set(all.map((s) => s.date))].sort()
    const found = all.find((s) => s.class === 'expert' && s.state === 'open' && s.remaining > 3 && s.date >= days[2])
    if (found) return found
  }
  throw new Error('no specialist has a free number')
}

/** Takes the whole path once; save(name) is called where a picture belongs. */
async function path(page, base, phone, save) {
  await login({ page, base, look: async () => {}, phone })
  const s = await openSession(base)
  await page.goto(`${base}/m/doctors/${s.practitioner_id}?day=${s.date}`)
  await page.waitForFunction(() => /\d/.test(document.querySelector('.live')?.textContent ?? ''))
  await page.locator('.slot:not([disabled])').nth(2).click()
  await page.waitForSelector('.actionbar .btn--primary')
  await save('doctor')
  await page.click('.actionbar .btn--primary')
  await page.check('#agree')
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('[role=timer]')
  await page.waitForSelector('.facts')
  await save('pay')
  await page.click('.actionbar .btn--primary')
  await page.getByRole('button', { name: '支付成功' }).click()
  await page.waitForURL(/\/m\/done\//, { timeout: 40_000 })
  await page.waitForSelector('[data-ticket][data-state=booked]', { timeout: 30_000 })
  await save('done')
  await page.goto(`${base}/m/`)
  await page.waitForSelector('.tickethero .big')
  await page.waitForSelector('.deps a')
  await save('home')
  await page.click('.tickethero .btn')
  await page.waitForSelector('.steps')
  await save('visit')
  // The same account is shown another time: give the number back.
  await page.click('a[href$="/cancel"]')
  await page.click('[data-cancel]')
  await page.waitForURL(/\/refund$/)
}

/** Logs a member of staff of the demo in; the code of the moment is used once, so a second try waits for the next one. */
async function staff(context, base, username) {
  for (let n = 0; n < 40; n++) {
    const a = (await api(base, '/demo/accounts')).find((x) => x.username === username)
    const r = await context.request.post(`${base}/api/v1/auth/staff/sessions`, { data: { username, password: a.password, totp: a.totp }, headers: { Origin: base } })
    if (r.ok()) return
    await new Promise((done) => setTimeout(done, 1_000))
  }
  throw new Error(`${username} cannot log in`)
}

/** The doctor's line with people in it, the week, the window, an operator's day, and the wall. */
async function rooms(browser, base) {
  const desk = { viewport: { width: 1440, height: 900 }, locale: 'zh-CN', timezoneId: 'Asia/Shanghai', reducedMotion: 'reduce' }
  const at = async (username, go) => {
    const context = await browser.newContext(desk)
    await staff(context, base, username)
    const page = await context.newPage()
    await go(page, async (name) => {
      const png = await page.screenshot()
      if (png.length > most) throw new Error(`${name}.png has ${png.length} bytes`)
      writeFileSync(`${out}/${name}.png`, png)
      console.log(`${name}.png ${Math.round(png.length / 1000)} KB`)
    })
    await context.close()
  }
  await at('linzhixia', async (page, save) => {
    await page.goto(`${base}/console/clinic`)
    await page.getByRole('link', { name: '进入队列' }).first().click()
    await page.waitForFunction(() => document.querySelectorAll('tbody tr').length >= 3, null, { timeout: 60_000 })
    await page.keyboard.press('n')
    await page.waitForFunction(() => /A\d{3}|B\d{3}|C\d{3}/.test(document.querySelector('.now, .big')?.textContent ?? document.body.innerText))
    await page.waitForTimeout(500)
    await save('queue')
  })
  await at('guahao', async (page, save) => {
    await page.goto(`${base}/console/desk`)
    await page.waitForSelector('input')
    await save('desk')
  })
  await at('yunying', async (page, save) => {
    await page.goto(`${base}/console/schedule`)
    await page.waitForSelector('td a, td button')
    await save('week')
    await page.goto(`${base}/console/`)
    await page.waitForSelector('h1')
    await page.waitForTimeout(500)
    await save('today')
    const campuses = await page.request.get(`${base}/api/v1/campuses`).then((r) => r.json())
    const campus = campuses.items[0].id
    const departments = await page.request.get(`${base}/api/v1/departments?campus_id=${campus}`).then((r) => r.json())
    const made = await page.request.post(`${base}/api/v1/clinic/displays`, {
      data: { name: `门诊楼 ${Date.now() % 1000}`, campus_id: campus, department_ids: departments.items.map((d) => d.id) }, headers: { Origin: base },
    }).then((r) => r.json())
    await page.setViewportSize({ width: 1366, height: 768 })
    await page.goto(`${base}/wall/#${made.token}`)
    await page.waitForTimeout(3_000)
    await save('wall')
  })
}

const base = arg('base', '').replace(/\/$/, '')
const server = await (base ? useServer(base) : startXinglin(() => ['--demo-people', '60', '--demo-traffic', '20']))
const browser = await chromium.launch({ executablePath: findBrowser(), args: flags, headless: true })
try {
  const phone = (await api(server.base, '/demo/accounts')).find((a) => a.phone).phone
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, locale: 'zh-CN', timezoneId: 'Asia/Shanghai', deviceScaleFactor: 2, reducedMotion: 'reduce' })
  const page = await context.newPage()
  const cdp = await context.newCDPSession(page)
  const picture = async (scale) => {
    await cdp.send('Emulation.setDeviceMetricsOverride', { width: 390, height: 844, deviceScaleFactor: scale, mobile: false })
    const shot = await cdp.send('Page.captureScreenshot', { format: 'png', optimizeForSpeed: false })
    return Buffer.from(shot.data, 'base64')
  }
  await path(page, server.base, phone, async (name) => {
    await page.evaluate(() => {
      document.activeElement?.blur()
      scrollTo(0, 0)
    })
    await page.mouse.move(0, 0)
    let scale = 2
    let png = await picture(scale)
    if (png.length > most) png = await picture((scale = 1.5))
    if (png.length > most) throw new Error(`${name}.png has ${png.length} bytes`)
    writeFileSync(`${out}/${name}.png`, png)
    console.log(`${name}.png ${Math.round(png.length / 1000)} KB, scale ${scale}`)
  })
  await rooms(browser, server.base)
} finally {
  await browser.close()
  await server.stop()
}

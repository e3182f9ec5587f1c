// Makes the pictures of the READMEs from the real demo: docs/images/{home,doctor,pay,done,visit}.png.
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

const base = arg('base', '').replace(/\/$/, '')
const server = await (base ? useServer(base) : startXinglin())
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
} finally {
  await browser.close()
  await server.stop()
}

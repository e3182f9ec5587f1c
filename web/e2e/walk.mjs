// login -> departments -> doctor -> slot -> check -> pay -> ticket -> visits -> cancel -> refunded.
import assert from 'node:assert/strict'
import { nameOf } from './routes.mjs'

export const api = async (base, path, init) => {
  const r = await fetch(`${base}/api/v1${path}`, init)
  assert.ok(r.ok, `${path}: ${r.status}`)
  const body = await r.json()
  return Array.isArray(body) ? body : (body.items ?? body)
}

/** The digits of the newest code sent to a phone, from the demo's own inbox; waits until one is newer than `since`. */
export async function codeFor(base, phone, since) {
  const end = Date.now() + 15_000
  while (Date.now() < end) {
    const m = (await api(base, '/demo/inbox')).filter((x) => x.phone === phone && Date.parse(x.at) >= since - 1000).sort((a, b) => b.at.localeCompare(a.at))[0]
    const code = m?.text.match(/\d{6}/)?.[0]
    if (code) return code
    await new Promise((r) => setTimeout(r, 200))
  }
  throw new Error(`no code for ${phone} in the demo inbox`)
}

export async function login({ page, base, look, phone }) {
  await page.goto(`${base}/m/login`)
  await page.waitForSelector('form input[type=tel]')
  await page.waitForSelector('[data-demo]')
  await look('login')
  await page.fill('form input[type=tel]', phone)
  const asked = Date.parse((await fetch(`${base}/api/v1/demo/inbox`)).headers.get('date')) // the server's clock, which may stand at 8:00
  await page.click('form button[type=submit]')
  await page.waitForSelector('input[autocomplete=one-time-code]')
  await look('login-code')
  await page.fill('input[autocomplete=one-time-code]', await codeFor(base, phone, asked))
  await page.click('form button[type=submit]')
  await page.waitForURL(`${base}/m/`)
}

/** A session with a fee and a free number, on a day and in a department where this account has nothing booked. */
async function paidDoctor(base, page, skip) {
  const open = []
  const mine = (await (await page.request.get(`${base}/api/v1/appointments?limit=100`)).json()).items
  const taken = new Set(mine.filter((a) => ['pending', 'booked', 'arrived'].includes(a.state)).map((a) => `${a.date} ${a.department_name}`))
  for (const d of await api(base, '/departments?limit=100')) {
    if (d.doctor_count === 0) continue
    for (const s of await api(base, `/schedules?department_id=${d.id}&limit=100`)) {
      // Not today: the cut-off for cancelling may have passed.
      const today = new Date(Date.now() + 8 * 3600e3).toISOString().slice(0, 10)
      if (s.state === 'open' && s.remaining > 0 && s.fee_fen > 0 && s.date > today && !taken.has(`${s.date} ${s.department_name}`)) open.push({ department: d, schedule: s })
    }
    if (open.length > 40) break
  }
  assert.ok(open.length, 'no session with a fee and a free number')
  const far = open.filter((o) => o.schedule.date > open.map((x) => x.schedule.date).sort()[0])
  return (far.length ? far : open)[skip % (far.length || open.length)]
}

/** A number that nobody has used: every variant but the first is a new person's first visit. */
const freshPhone = () => `139${String(Date.now()).slice(-8)}`

/** A resident id that nobody has: born on a day made of the clock, check digit after GB 11643. */
function freshResidentId() {
  const n = Date.now()
  const body = `110105${1950 + (n % 50)}${String(1 + (Math.floor(n / 50) % 12)).padStart(2, '0')}${String(1 + (Math.floor(n / 600) % 28)).padStart(2, '0')}${String(Math.floor(n / 16800) % 1000).padStart(3, '0')}`
  const sum = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2].reduce((a, w, i) => a + w * Number(body[i]), 0)
  return body + '10X98765432'[sum % 11]
}

/** Adds oneself, as the check page asks of an account without people; it leads back to the check page. */
async function addSelf(page, look) {
  await look('check-nobody')
  await page.click('.state .btn--primary')
  await page.fill('[name=name]', '测试')
  await page.fill('[name=document_number]', freshResidentId())
  await page.click('form button[type=submit]')
  await page.waitForURL(/\/check\//)
}

/** The manifest names what an installation needs, and each icon is of the size that it says. */
async function installable(page, base) {
  const href = await page.getAttribute('link[rel=manifest]', 'href')
  const manifest = await (await page.request.get(base + href)).json()
  assert.equal(manifest.start_url, manifest.scope)
  assert.equal(manifest.display, 'standalone')
  const png = async (src, sizes) => {
    const body = await (await page.request.get(base + src)).body()
    assert.equal(body.subarray(1, 4).toString('latin1'), 'PNG', src)
    if (sizes) assert.equal(`${body.readUInt32BE(16)}x${body.readUInt32BE(20)}`, sizes, src)
  }
  for (const i of manifest.icons) if (i.type === 'image/png') await png(i.src, i.sizes)
  for (const [purpose, size] of [['any', '192x192'], ['any', '512x512'], ['maskable', '512x512']]) assert.ok(manifest.icons.some((i) => i.sizes === size && i.purpose === purpose), `an icon of ${size}, ${purpose}`)
  await png(await page.getAttribute('link[rel=apple-touch-icon]', 'href'), '180x180')
  const worker = await (await page.request.get(`${base}/m/sw.js`)).text()
  assert.doesNotMatch(worker, /__BUILD__|__SHELL__/)
  const shell = JSON.parse(worker.match(/const shell = (\[.*?\])/)[1])
  for (const f of shell) assert.equal((await page.request.get(base + f)).status(), 200, `${f} of the shell`)
}

export async function walk({ page, base, look, index, phone }) {
  const demo = (await api(base, '/demo/accounts')).filter((a) => a.phone)
  await page.goto(`${base}/m/`)
  await page.waitForSelector('.deps a')
  await look('home-guest')
  if (index === 0) await installable(page, base)
  await login({ page, base, look, phone: phone || (index === 0 ? demo[0].phone : freshPhone()) })
  await page.waitForSelector('.deps a')
  await look('home')

  const { department, schedule } = await paidDoctor(base, page, index)
  await page.click('.tabbar a[href$="/departments"]')
  await page.waitForSelector('.choices a, .card .row')
  const campus = page.locator(`.choices a[href*="${department.campus_id}"]`)
  if (await campus.count()) await campus.click()
  await page.waitForSelector(`a.row[href*="${department.id}"]`)
  await look('departments')
  // From the department to the payment: four screens at most.
  const passed = []
  const count = (frame) => {
    const name = frame === page.mainFrame() && frame.url().startsWith(`${base}/m/`) ? nameOf(frame.url()) : undefined
    if (name && passed.at(-1) !== name) passed.push(name)
  }
  page.on('framenavigated', count)
  await page.click(`a.row[href*="${department.id}"]`)
  await page.waitForSelector(`a.row[href$="/doctors/${schedule.practitioner_id}"]`)
  await look('doctors')
  await page.click(`a.row[href$="/doctors/${schedule.practitioner_id}"]`)
  await page.waitForSelector('.day')
  await page.click(`.day[data-day="${schedule.date}"]`)
  await page.waitForSelector('.slot:not([disabled])')
  await page.waitForFunction(() => /\d/.test(document.querySelector('.live')?.textContent ?? ''))
  await look('doctor')
  await page.locator('.slot:not([disabled])').first().click()
  await page.waitForSelector('.actionbar .btn--primary')
  await look('doctor-chosen')
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('#agree, .state .btn--primary')
  if (!(await page.locator('#agree').count())) await addSelf(page, look)
  await page.waitForSelector('#agree')
  await look('check')
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('.note--danger')
  await look('check-must-agree')
  await page.check('#agree')
  await page.click('.actionbar .btn--primary')
  await page.waitForURL(/\/m\/pay\//)
  await page.waitForSelector('[role=timer]')
  await look('pay')
  page.off('framenavigated', count)
  const screens = [...new Set(passed)].filter((p) => !['departments', 'person-new'].includes(p)) // who has no person yet names one on the way, once
  assert.ok(screens.length > 0 && screens.length <= 4, `${screens.join(', ')}: at most 4 screens after the department`)
  await page.click('.actionbar .btn--primary')
  await page.getByRole('button', { name: '支付成功' }).click()
  await page.waitForURL(/\/m\/(pay|done)\//)
  await page.waitForURL(/\/m\/done\//, { timeout: 40_000 })
  await page.waitForSelector('[data-ticket][data-state=booked]', { timeout: 30_000 })
  await look('ticket')
  assert.match(await page.innerText('.ticket__no'), /\d/, 'the ticket has a number')

  await page.goto(`${base}/m/`)
  await page.waitForSelector('.tickethero')
  await look('home-next')
  await page.click('.tabbar a[href$="/visits"]')
  await page.waitForSelector('[data-visit]')
  await look('visits')
  await page.click('[data-visit]:has(.tag--ok)')
  await page.waitForSelector('[data-ticket]')
  await look('visit')
  await page.click('a[href$="/cancel"]')
  await page.waitForSelector('[data-cancel]')
  await look('cancel')
  assert.ok(await page.locator('[data-refund]').count(), 'the cancel page says what is refunded')
  await page.click('[data-cancel]')
  await page.waitForURL(/\/refund$/)
  await page.waitForSelector('[data-refund-state]')
  await look('refund')
  await page.waitForSelector('[data-refund-state=done]', { timeout: 60_000 })
  await look('refund-done')
  await page.click('.tabbar a[href$="/visits"]')
  await page.click('.choices a[href*="cancelled"]')
  await page.waitForSelector('[data-visit]')
  await look('visits-cancelled')

  await page.goto(`${base}/m/people`)
  await page.waitForSelector('.row')
  await look('people')
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('form')
  await page.click('input[value=child]', { force: true })
  await look('person-new')
  await page.click('form button[type=submit]')
  await page.waitForSelector('[data-summary]')
  await look('person-new-faults')
  await page.goto(`${base}/m/people`)
  await page.click('.row')
  await page.waitForSelector('.sum')
  await look('person')
  await page.click('[data-privacy]')
  await page.waitForSelector('[data-purpose]')
  await look('privacy')
  await page.click('[data-accesses]')
  await page.waitForSelector('[data-access], main .state') // in the demo it may be that nobody else did anything yet
  await look('accesses')
  await page.goto(`${base}/m/notices`)
  await page.waitForSelector('main .card, main .state')
  await look('notices')
  await page.goto(`${base}/m/me`)
  await page.waitForSelector('[data-logout]')
  await look('me')
  await page.goto(`${base}/m/me/sessions`)
  await page.waitForSelector('main .row')
  await look('sessions')
  await page.goto(`${base}/m/doctors?q=zzzz`)
  await page.waitForSelector('.state')
  await look('doctors-empty')
  await page.goto(`${base}/m/nowhere`)
  await page.waitForSelector('.state')
  await look('lost')
  // Offline: the line, and what was open stays.
  await page.goto(`${base}/m/visits`)
  await page.waitForSelector('[data-visit]')
  await page.context().setOffline(true)
  await page.waitForSelector('.offbar')
  await look('offline')
  await page.context().setOffline(false)
  await page.waitForSelector('.offbar', { state: 'detached' })
  await page.goto(`${base}/m/me`)
  await page.click('[data-logout]')
  await page.waitForURL(`${base}/m/`)
}

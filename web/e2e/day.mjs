// A day in the waiting room on the real program, whose clock stands in the morning: a visit of today, checked in on the phone, called by
// the nurse, told to the phone and to the corridor's screen.
import assert from 'node:assert/strict'
import { api, login } from './walk.mjs'

const json = { 'Content-Type': 'application/json' }

/** A random UUID with the time of now and the version 7 in it. */
const uuidv7 = () => Date.now().toString(16).padStart(12, '0').replace(/^(.{8})(.{4})$/, '$1-$2') + crypto.randomUUID().slice(13).replace(/^-4/, '-7')

async function token(base, username) {
  const a = (await api(base, '/demo/accounts')).find((x) => x.username === username)
  assert.ok(a, `the demo has ${username}`)
  const { access_token } = await api(base, '/auth/tokens', { method: 'POST', headers: json, body: JSON.stringify({ grant: 'password', username, password: a.password, totp: a.totp }) })
  return { ...json, Authorization: `Bearer ${access_token}` }
}

/** A session of this morning whose next free time may be checked in for, without a fee where there is one. */
async function sessionToday(base, today) {
  const all = []
  for (const d of await api(base, '/departments?limit=100')) {
    if (d.doctor_count === 0) continue
    all.push(...(await api(base, `/schedules?department_id=${d.id}&from=${today}&to=${today}`)).filter((s) => s.state === 'open' && s.remaining > 0 && !s.lottery && s.session === 'morning'))
  }
  assert.ok(all.length, 'a session of this morning has a free number')
  return all.sort((a, b) => a.fee_fen - b.fee_fen)[0]
}

export async function walkDay({ page, base, look, phone, expected }) {
  const today = new Date(Date.now() + 8 * 3600e3).toISOString().slice(0, 10)
  const operator = await token(base, 'yunying')
  const demo = (await api(base, '/demo/accounts')).filter((a) => a.phone)
  await login({ page, base, look: async () => {}, phone: phone || demo[0].phone })
  const s = await sessionToday(base, today)
  await page.goto(`${base}/m/doctors/${s.practitioner_id}?day=${s.date}`)
  await page.locator('.slot:not([disabled])').first().click()
  await page.click('.actionbar .btn--primary')
  await page.check('#agree')
  await page.click('.actionbar .btn--primary')
  await page.waitForURL(/\/m\/(pay|done)\//)
  if (/\/pay\//.test(page.url())) {
    await page.waitForSelector('[role=timer]')
    await page.click('.actionbar .btn--primary')
    await page.getByRole('button', { name: '支付成功' }).click()
  }
  await page.waitForURL(/\/m\/done\//, { timeout: 40_000 })
  await page.waitForSelector('[data-ticket][data-state=booked]', { timeout: 30_000 })
  const id = new URL(page.url()).pathname.split('/').pop()

  // The corridor's screen of the campus.
  const made = await (await fetch(`${base}/api/v1/clinic/displays`, { method: 'POST', headers: operator, body: JSON.stringify({ name: '三层候诊区', campus_id: s.campus_id }) })).json()
  const wall = await page.context().newPage()
  await wall.setViewportSize({ width: 1366, height: 768 })
  await wall.goto(`${base}/wall/#${made.token}`)
  await wall.waitForSelector('body[data-screen=board]')

  expected.push(/404/) // the line of a visit is there a moment after the visit
  await page.goto(`${base}/m/visits/${id}`)
  await page.waitForSelector('[data-turn=open] [data-check-in]', { timeout: 30_000 })
  await look('day-check-in')
  await page.click('[data-check-in]')
  await page.waitForSelector('[data-turn=waiting]')
  await look('day-waiting')
  const nurse = await token(base, 'zhouhushi')
  const queue = await (await fetch(`${base}/api/v1/clinic/sessions/${s.id}/queue`, { headers: nurse })).json()
  const answer = await fetch(`${base}/api/v1/clinic/sessions/${s.id}/call-next`, { method: 'POST', headers: { ...nurse, 'Idempotency-Key': uuidv7() }, body: JSON.stringify({ version: queue.session.version }) })
  assert.equal(answer.status, 200, await answer.text())
  await page.waitForSelector('[data-turn=called]', { timeout: 15_000 })
  await look('day-called')
  await wall.waitForSelector('[data-call]', { timeout: 15_000 })
  const number = await page.innerText('.ticket__no')
  assert.equal((await wall.innerText('.no')).trim(), number.trim(), 'the screen calls the number of the ticket')
  await wall.close()
}

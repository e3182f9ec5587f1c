// The screens of 8:00. walkRushStates makes them on the stand-in: waiting room, a busy server, every state of a lottery. walkRush goes
// the real way on the real program, whose clock stands shortly before a release: announce, wait in line, book, enter, be drawn.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { program } from './server.mjs'
import { api, login } from './walk.mjs'

export async function walkRushStates({ page, base, look, expected }) {
  const mock = (query) => page.request.get(`${base}/__mock/set?${query}`)
  await page.request.post(`${base}/__mock/reset`)
  expected.push(/401/, /403/, /503/, /Unauthorized/, /Forbidden/, /Service Unavailable/)

  // Who comes to the waiting room without a login goes to log in and is back in line.
  await page.goto(`${base}/m/queue?department=d1&back=%2Fm%2F`)
  await page.waitForSelector('#go:not(.hide)')
  await look('queue-login')
  await page.click('#go')
  await page.waitForURL(/\/m\/login\?next=/)
  await page.fill('form input[type=tel]', '13800000001')
  await page.click('form button[type=submit]')
  await page.fill('input[autocomplete=one-time-code]', '246810')
  await page.click('form button[type=submit]')
  await page.waitForURL(/\/m\/queue\?department=d1/)
  await page.waitForSelector('#line:not(.hide)')

  // The waiting room, and back with all that was chosen.
  await mock('door=pass')
  await page.goto(`${base}/m/doctors/p1`)
  await page.click('.day[data-kind=open]')
  await page.locator('.slot:not([disabled])').first().click()
  await page.click('.actionbar .btn--primary')
  await page.check('#agree')
  await page.click('.actionbar .btn--primary')
  await page.waitForURL(/\/m\/queue\?/)
  await page.waitForSelector('#line:not(.hide)')
  await look('queue-waiting')
  await mock('place=admitted')
  await page.waitForSelector('#go:not(.hide)')
  await look('queue-turn')
  await page.click('#go')
  await page.waitForURL(/\/m\/check\//)
  await page.waitForSelector('.note--ok')
  assert.ok(await page.isChecked('#agree'), 'the tick outlives the waiting room')
  await look('check-turn')

  // Too many people: the page goes on by itself, can be stopped, and says what is known.
  await mock('door=busy')
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('.note--warn')
  await look('rush-trying')
  await page.click('.actionbar .btn')
  await page.waitForSelector('.actionbar .btn--primary')
  await look('rush-stopped')
  await mock('door=unknown')
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('.actionbar .btn:not(.btn--primary)')
  await page.click('.actionbar .btn')
  await page.waitForSelector('.actionbar .btn--primary')
  await look('rush-unsure')
  await mock('door=work')
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('.note--warn')
  await look('rush-proving')
  await page.click('.actionbar .btn')
  await mock('door=')
  await page.waitForSelector('.actionbar .btn--primary:not([disabled])')
  await page.click('.actionbar .btn--primary')
  await page.waitForURL(/\/m\/pay\//)

  await lotteryStates({ page, base, look, expected, mock })
}

async function lotteryStates({ page, base, look, expected, mock }) {
  const show = () => page.goto(`${base}/m/lottery/s-p2-1-morning?doctor=p2&day=${page.lotteryDay}`)
  const phase = (name) => page.waitForSelector(`[data-phase][data-state=${name}]`)
  await mock('lottery=announced')
  await page.goto(`${base}/m/doctors/p2`)
  await page.locator('.day.wait').click()
  await page.waitForSelector('main a[href*="/lottery/"]')
  page.lotteryDay = await page.getAttribute('.day.wait', 'data-day')
  await look('lottery-doctor')
  await page.click('main a[href*="/lottery/"]')
  await phase('announced')
  await page.waitForSelector('.opt')
  await look('lottery-announced')

  await mock('lottery=open')
  await show()
  await phase('open')
  await page.waitForSelector('.opt')
  await look('lottery-open')
  await page.locator('main .slot[data-slot]').nth(2).click()
  await page.locator('main .slot[data-slot]').nth(0).click()
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('.note--danger')
  await look('lottery-must-agree')
  await page.check('#agree')
  await mock('door=busy')
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('.note--warn')
  await look('lottery-trying')
  await mock('door=')
  await page.waitForSelector('[data-entry=waiting]')
  await look('lottery-entered')

  await mock('lottery=sealed')
  await show()
  await phase('sealed')
  await page.waitForSelector('[data-entry=waiting]')
  await look('lottery-sealed')
  await mock('lottery=done&entry=lost')
  await phase('done') // by the page's own look, without a reload
  await page.waitForSelector('[data-entry=lost]')
  await look('lottery-lost')
  await mock('entry=refused&witness=silent')
  await show()
  await page.waitForSelector('[data-entry=refused]')
  await look('lottery-refused')
  await mock('entry=won&witness=no')
  await show()
  await page.waitForSelector('[data-entry=won]')
  await page.waitForSelector('.actionbar .btn--primary')
  await look('lottery-won')
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('[role=timer]')
  await page.goto(`${base}/m/visits`)
  await page.waitForSelector('main a[href*="/lottery/"]')
  await look('lottery-visits')

  // Loading, failed, offline, none, guest.
  await mock('delay=1500')
  await show()
  await page.waitForSelector('.skel')
  await look('lottery-loading')
  await phase('done')
  await mock('delay=0')
  await page.context().setOffline(true)
  await page.waitForSelector('.offbar')
  await look('lottery-offline')
  await page.context().setOffline(false)
  expected.push(/500/, /404/)
  await mock('fail=lotteries')
  await show()
  await page.waitForSelector('.state--warn')
  await look('lottery-error')
  await mock('fail=&lottery=')
  await show()
  await page.waitForSelector('.state .btn--primary')
  await look('lottery-none')
  await mock('lottery=open')
  await page.context().clearCookies()
  await page.evaluate(() => localStorage.removeItem('xinglin.session.mark'))
  await show()
  await page.waitForSelector('.actionbar a.btn--primary')
  await look('lottery-guest')
}

/** An operator of the demo announces a lottery for the sessions that come out at the next release; gives the first of them. */
async function announce(base) {
  const operator = (await api(base, '/demo/accounts')).find((a) => a.username === 'yunying')
  const json = { 'Content-Type': 'application/json' }
  const { access_token } = await api(base, '/auth/tokens', { method: 'POST', headers: json, body: JSON.stringify({ grant: 'password', username: operator.username, password: operator.password, totp: operator.totp }) })
  const planned = []
  for (const d of await api(base, '/departments?limit=100')) {
    if (d.doctor_count === 0) continue
    const day = new Date(Date.now() + 8 * 3600e3 + 14 * 86400e3).toISOString().slice(0, 10)
    planned.push(...(await api(base, `/schedules?department_id=${d.id}&from=${day}&to=${day}`)).filter((s) => s.state === 'planned' && s.fee_fen > 0))
  }
  const [schedule] = planned
  assert.ok(schedule, 'a session comes out at the next release')
  const [lottery] = await api(base, '/lotteries', { method: 'POST', headers: { ...json, Authorization: `Bearer ${access_token}` }, body: JSON.stringify({ schedule_ids: [schedule.id], window_seconds: 20 }) })
  assert.equal(lottery.state, 'announced')
  return schedule
}

export async function walkRush({ page, base, look, expected, phone }) {
  const schedule = await announce(base)
  const demo = (await api(base, '/demo/accounts')).filter((a) => a.phone)
  await login({ page, base, look: async () => {}, phone: phone || demo[0].phone })
  expected.push(/403/, /Forbidden/)

  // While the release comes near: an ordinary number, through the waiting room.
  const today = new Date(Date.now() + 8 * 3600e3).toISOString().slice(0, 10)
  const [open] = (await api(base, `/schedules?department_id=${schedule.department_id}`)).filter((s) => s.state === 'open' && s.remaining > 1 && s.fee_fen > 0 && s.date > today)
  await page.goto(`${base}/m/doctors/${open.practitioner_id}?day=${open.date}`)
  await page.locator('.slot:not([disabled])').first().click()
  await page.click('.actionbar .btn--primary')
  await page.check('#agree')
  await page.click('.actionbar .btn--primary')
  await page.waitForURL(/\/m\/queue\?/)
  await page.waitForSelector('#go:not(.hide)')
  await look('queue')
  await page.click('#go')
  await page.waitForSelector('.note--ok [role=timer]')
  assert.ok(await page.isChecked('#agree'), 'the tick outlives the waiting room')
  await look('check-turn')
  await page.click('.actionbar .btn--primary')
  await page.waitForURL(/\/m\/pay\//)

  // The lottery, from before its window to the payment.
  await page.goto(`${base}/m/doctors/${schedule.practitioner_id}?day=${schedule.date}`)
  await page.click(`main a[href*="/lottery/${schedule.id}"]`)
  await page.waitForSelector('[data-phase][data-state=announced]')
  await page.waitForSelector('.opt')
  await look('lottery-announced')
  await page.check('#agree')
  await page.waitForSelector('[data-phase][data-state=open]', { timeout: 150_000 })
  await page.waitForSelector('.actionbar .btn--primary:not([disabled])')
  await look('lottery-open')
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('[data-entry=waiting]')
  await look('lottery-entered')
  const save = async (name) => {
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole(name === 'receipt' ? 'button' : 'link', { name: name === 'receipt' ? '保存回执' : '下载证明文件' }).click()])
    const path = join(folder, `${name}.json`)
    await file.saveAs(path)
    return path
  }
  const folder = mkdtempSync(join(tmpdir(), 'xinglin-draw-'))
  try {
    const receipt = await save('receipt')
    await page.waitForSelector('[data-entry=won]', { timeout: 90_000 })
    await page.waitForSelector('.actionbar .btn--primary')
    await look('lottery-won')
    const said = execFileSync(program, ['lottery', 'verify', await save('proof'), '--receipt', receipt], { encoding: 'utf8' })
    assert.match(said, /your entry is in the list: rank 1 of 1, won/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  await page.click('.actionbar .btn--primary')
  await page.waitForURL(/\/m\/pay\//)
  await page.waitForSelector('[role=timer]')
  await page.goto(`${base}/m/`)
  await page.waitForSelector('.tickethero')
  await look('home-next')
}

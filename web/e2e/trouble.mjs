// What goes wrong in a person's day: the session ends in the middle of a form, taps come twice, Back is pressed after paying, the phone
// sleeps during the payment, the lift has no network, a new build arrives. And the day in the waiting room, from check-in to the call.
import assert from 'node:assert/strict'
import { login } from './walk.mjs'

export async function walkTrouble(context) {
  const { page, base, expected } = context
  const mock = async (query) => (await page.request.get(`${base}/__mock/${query}`)).json()
  const c = { ...context, mock, go: (path) => page.goto(`${base}/m${path}`), again: () => again(page) }
  await page.request.post(`${base}/__mock/reset`)
  await mock('set?delay=0')
  expected.push(/401/, /Unauthorized/)
  await login({ page, base, look: async () => {}, phone: '13800000001' })
  await endedInForm(c)
  await endedAtConfirm(c)
  await backAfterPaying(c)
  await sleptWhilePaying(c)
  await waitingRoom(c)
  await notices(c)
  await search(c)
  await newBuild(c)
  await noNetwork(c)
}

/** Logs in on the page that is shown and waits to be led back. */
async function again(page) {
  await page.waitForURL(/\/m\/login\?next=.*ended=1/)
  await page.fill('form input[type=tel]', '13800000001')
  await page.click('form button[type=submit]')
  await page.fill('input[autocomplete=one-time-code]', '246810')
  await page.click('form button[type=submit]')
}

/** Two taps before the page can say that it heard the first. */
const twice = (page, selector) =>
  page.evaluate((s) => {
    const b = document.querySelector(s)
    b.click()
    b.click()
  }, selector)

async function endedInForm({ page, look, mock, go, again }) {
  await go('/people/new')
  await page.click('input[value=parent]', { force: true })
  await page.fill('[name=name]', '张桂兰')
  await page.selectOption('select', 'passport')
  await page.fill('[name=document_number]', 'E12345678')
  await page.fill('[name=birth_date]', '1948-05-06')
  await mock('end')
  await page.click('form button[type=submit]')
  await page.waitForSelector('main .note--warn')
  await look('session-ended')
  await again()
  await page.waitForURL(/\/people\/new$/)
  assert.equal(await page.inputValue('[name=name]'), '张桂兰', 'the typed name is kept')
  assert.equal(await page.inputValue('[name=document_number]'), 'E12345678', 'the typed number is kept')
  assert.equal(await page.inputValue('[name=birth_date]'), '1948-05-06', 'the typed date is kept')
  await look('session-ended-kept')
  await page.click('form button[type=submit]')
  await page.waitForURL(/\/people\/[^/]+$/)
}

/** To the check page of the first free time of a doctor on a day. */
async function toCheck(page, go, doctor = 'p1', nth = 0) {
  await go(`/doctors/${doctor}`)
  await page.locator('.day[data-kind=open]').nth(nth).click()
  await page.locator('.slot:not([disabled])').first().click()
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('#agree')
}

async function endedAtConfirm({ page, look, mock, go, again }) {
  await toCheck(page, go)
  await page.click('.sum .link--btn')
  await page.locator('.opt').nth(1).click()
  await page.check('#agree')
  await mock('end')
  await page.click('.actionbar .btn--primary')
  await again()
  await page.waitForURL(/\/check\//)
  await page.waitForSelector('.sum')
  await page.waitForFunction(() => document.querySelector('.sum')?.textContent.includes('张桂兰'))
  assert.ok(await page.isChecked('#agree'), 'the tick outlives the login')
  await look('check-after-login')
  // Without a network nothing can be sent, and what was chosen stays.
  await page.context().setOffline(true)
  await page.waitForSelector('.actionbar .btn--primary[disabled]')
  await look('check-in-the-lift')
  await page.context().setOffline(false)
  await page.waitForSelector('.actionbar .btn--primary:not([disabled])')
  assert.ok(await page.isChecked('#agree'), 'the tick outlives the lift')
  const before = (await mock('counts')).holds
  await twice(page, '.actionbar .btn--primary')
  await page.waitForURL(/\/m\/pay\//)
  assert.equal((await mock('counts')).holds, before + 1, 'two taps hold one number')
}

async function backAfterPaying({ page, look, mock }) {
  const pay = page.url()
  await page.waitForSelector('[role=timer]')
  const before = (await mock('counts')).prepays
  await twice(page, '.actionbar .btn--primary')
  await page.getByRole('button', { name: '支付成功' }).waitFor()
  assert.equal((await mock('counts')).prepays, before + 1, 'two taps are one payment')
  // Back from the cashier without paying: the page asks first, and offers no second payment by itself.
  await page.goBack()
  await page.waitForURL(pay)
  await page.waitForSelector('main .note--warn')
  assert.equal(await page.locator('.actionbar .btn--primary').count(), 0, 'no second payment is offered while the first is open')
  await look('back-from-cashier')
  await page.goForward()
  await page.getByRole('button', { name: '支付成功' }).click()
  await page.waitForURL(/\/m\/done\//, { timeout: 30_000 })
  await page.waitForSelector('[data-ticket][data-state=booked]')
  // Back after paying: by the cashier's page or straight, it ends at the ticket, and nothing can be paid again.
  await page.goto(pay)
  await page.waitForURL(/\/m\/done\//)
  await page.waitForSelector('[data-ticket][data-state=booked]')
  await page.goBack().catch(() => null)
  await page.goto(pay)
  await page.waitForURL(/\/m\/done\//)
  assert.equal((await mock('counts')).prepays, before + 1, 'Back pays nothing')
}

async function sleptWhilePaying({ page, look, mock, go }) {
  await mock('set?cold=true')
  await toCheck(page, go, 'p2', 1)
  await page.check('#agree')
  await page.click('.actionbar .btn--primary')
  await page.waitForURL(/\/m\/pay\//)
  await page.waitForSelector('[role=timer]')
  await page.click('.actionbar .btn--primary')
  await page.getByRole('button', { name: '支付成功' }).click()
  await page.waitForURL(/\/m\/pay\/.*back=1/)
  await page.waitForSelector('main .note--warn')
  // The phone wakes: the page asks at once, without waiting for its round.
  await page.waitForFunction(() => performance.getEntriesByType('resource').some((e) => e.name.endsWith('/query')))
  await mock('set?cold=false')
  const asked = page.waitForRequest((r) => r.url().endsWith('/query') && r.method() === 'POST', { timeout: 2_500 })
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
  await asked
  await page.waitForURL(/\/m\/done\//)
  await page.waitForSelector('[data-ticket][data-state=booked]')
  await look('paid-after-sleep')
}

async function waitingRoom({ page, look, mock, go, expected }) {
  await mock('set?turn=early')
  const visit = await mock('today')
  const at = `/visits/${visit.id}`
  const phase = (name) => page.waitForSelector(`[data-turn=${name}]`, { state: 'attached' })
  await go('/')
  await page.waitForSelector('.tickethero .place')
  await page.waitForSelector('[data-todos]')
  await look('home-early')
  await go(at)
  await phase('early')
  await look('turn-early')
  await mock('set?turn=open')
  await phase('open') // the stream said so
  await look('turn-open')
  await go('/')
  await page.waitForSelector('.tickethero [data-check-in]')
  await look('home-check-in')
  await go(at)
  await phase('open')
  await twice(page, '[data-check-in]')
  await phase('waiting')
  assert.equal((await mock('counts')).checkIns, 1, 'two taps are one check-in')
  await look('turn-waiting')
  await go('/')
  await page.waitForFunction(() => /3/.test(document.querySelector('.tickethero .place')?.textContent ?? ''))
  await look('home-waiting')
  await go(at)
  await phase('waiting')
  await mock('set?turn=waiting-paused')
  await page.waitForSelector('[data-paused]')
  await look('turn-paused')
  // The connection is gone: the figure says of when it is.
  expected.push(/503/, /Service Unavailable/, /500/, /Internal/)
  await mock('set?stream=off&fail=visits')
  await page.evaluate(() => {
    const real = Date.now
    Date.now = () => real() + 31_000
  })
  await page.waitForSelector('[data-turn] .live--lost')
  assert.match(await page.innerText('[data-turn] .live--lost'), /\d\d:\d\d:\d\d/)
  await look('turn-old')
  await mock('set?stream=&fail=')
  await go(at)
  await phase('waiting')
  await mock('set?turn=called')
  await phase('called')
  await look('turn-called')
  await go('/')
  await page.waitForSelector('.tickethero .place--big')
  await look('home-called')
  await go(at)
  await mock('set?turn=missed')
  await phase('missed')
  await look('turn-missed')
  await mock('set?turn=again')
  await page.waitForSelector('[data-turn=missed] [data-check-in]')
  await look('turn-missed-again')
  await mock('set?turn=late')
  await phase('late')
  await look('turn-late')
  await mock('set?turn=done')
  await phase('over')
  await look('turn-done')
  await mock('set?turn=waiting')
}

async function notices({ page, look, mock, go, expected }) {
  await go('/notices')
  await page.waitForSelector('[data-read-all]')
  await look('notices-unread')
  await page.click('[data-read-all]')
  await page.waitForSelector('[data-read-all]', { state: 'detached' })
  await look('notices-read')
  await page.click('.appbar a[href$="/notices/settings"]')
  await page.waitForSelector('[name=queue-push]')
  await page.waitForSelector('[data-push]:not([data-push=""])')
  await look('settings')
  await page.check('[name=queue-push]')
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('main .note--ok')
  await look('settings-saved')
  expected.push(/412/, /422/, /Precondition/, /Unprocessable/)
  await mock('set?prefs=moved')
  await page.check('[name=service-sms]')
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('main .note--warn')
  assert.ok(await page.isChecked('[name=service-sms]'), 'what was ticked stays after a change from elsewhere')
  await look('settings-stale')
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('main .note--ok')
  await page.fill('input[type=email]', 'zhang')
  await page.click('form button[type=submit]')
  await page.waitForSelector('.fld--bad')
  await page.fill('input[type=email]', 'zhang@example.org')
  await page.click('form button[type=submit]')
  await page.fill('input[autocomplete=one-time-code]', '111111')
  await page.click('form button[type=submit]')
  await page.waitForSelector('form .note--danger')
  await look('settings-mail-wrong')
  await page.fill('input[autocomplete=one-time-code]', '246810')
  await page.click('form button[type=submit]')
  await page.waitForSelector('main .card form', { state: 'detached' })
  await look('settings-mail')
  await go('/me')
  await page.waitForSelector('[data-logout]')
  await look('me')
}

async function search({ page, look, go }) {
  await go('/doctors?focus=1')
  await page.waitForSelector('a.row')
  await page.fill('input[type=search]', '心律')
  await page.waitForURL(/q=/) // the list follows the typing
  await page.waitForFunction(() => document.querySelectorAll('a.row').length === 1)
  await page.press('input[type=search]', 'Enter')
  await go('/doctors')
  await page.waitForSelector('[data-recent] .choice')
  await look('search-recent')
  await page.click('[data-recent] .choice')
  await page.waitForFunction(() => document.querySelectorAll('a.row').length === 1)
  await look('search-found')
}

async function newBuild({ page, look, mock, go }) {
  await go('/')
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined))
  await page.waitForFunction(() => navigator.serviceWorker.controller)
  await mock('set?build=next')
  await page.evaluate(() => navigator.serviceWorker.getRegistration('/m/').then((r) => r.update()))
  await page.waitForSelector('[data-update]')
  await look('new-build')
  await page.click('.duo a[href$="/people"]')
  await page.waitForSelector('main .row')
  await page.click('.actionbar .btn--primary')
  await page.waitForSelector('[name=name]')
  assert.equal(await page.locator('[data-update]').count(), 0, 'no new build is offered in a form')
  await page.fill('[name=name]', '李')
  await page.goBack()
  await page.waitForSelector('[data-update]')
  await Promise.all([page.waitForEvent('load'), page.click('[data-update] .btn')])
  await page.waitForSelector('main .row')
  assert.equal(await page.locator('[data-update]').count(), 0, 'the new build is in use')
  await page.waitForFunction(() => caches.keys().then((names) => names.length === 1 && names[0].startsWith('xinglin-shell-next-')))
}

/** All that the device keeps of visits, as text. */
const keptText = (page) =>
  page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const open = indexedDB.open('xinglin', 1)
        open.onerror = () => reject(open.error)
        open.onsuccess = () => {
          const all = open.result.transaction('kept').objectStore('kept').get('tickets')
          all.onsuccess = () => {
            open.result.close()
            resolve(JSON.stringify(all.result ?? null))
          }
        }
      }),
  )

async function noNetwork({ page, base, look, go, expected }) {
  expected.push(/ERR_INTERNET_DISCONNECTED/, /Failed to load resource/)
  await go('/')
  await page.waitForSelector('.tickethero .place')
  await page.waitForFunction(() => document.querySelector('.tickethero')?.textContent.includes('张*三'))
  const kept = await keptText(page)
  assert.match(kept, /A018/, 'the ticket is kept')
  assert.doesNotMatch(kept, /张|三|pt1|1X|138(\*|\d{8})/, 'no name, no number of a person is kept')
  await page.context().setOffline(true)
  await page.reload()
  await page.waitForSelector('[data-kept]')
  await page.waitForSelector('.tickethero')
  assert.doesNotMatch(await page.innerText('.tickethero'), /张/)
  await page.waitForSelector('.deps a')
  await look('home-offline')
  await page.click('.tickethero .btn')
  await page.waitForSelector('[data-ticket]')
  assert.equal(await page.locator('a[href$="/cancel"]').count(), 0, 'nothing to act on in a kept ticket')
  await look('ticket-offline')
  await page.goto(`${base}/m/visits`)
  await page.waitForSelector('[data-visit]')
  await look('visits-offline')
  await page.goto(`${base}/m/people`)
  await page.waitForSelector('.state--warn')
  await look('people-offline')
  await page.goto(`${base}/m/me`)
  await page.waitForSelector('[data-logout], .card')
  await look('me-offline')
  await page.goto(`${base}/m/`)
  await page.waitForSelector('[data-kept]')
  await page.context().setOffline(false)
  await page.waitForSelector('[data-kept]', { state: 'detached' })
  await page.waitForFunction(() => document.querySelector('.tickethero')?.textContent.includes('张*三'))
  await go('/me')
  await page.click('[data-logout]')
  await page.waitForURL(`${base}/m/`)
  await page.waitForSelector('.deps a')
  assert.equal(await keptText(page), 'null', 'logout clears the tickets')
  await page.context().setOffline(true)
  await page.reload()
  await page.waitForSelector('.offbar')
  await page.waitForSelector('.deps a')
  assert.equal(await page.locator('[data-kept]').count(), 0)
  await look('home-guest-offline')
  await page.context().setOffline(false)
}

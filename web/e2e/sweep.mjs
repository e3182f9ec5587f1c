// Each page that reads something, in the states that every read has: loading, refused, without a network. The list is the router's: a
// page that is new and named neither here nor among those that read nothing fails.
import { routes } from './routes.mjs'
import { login } from './walk.mjs'

/** Nothing to read before they show; the waiting room is a page of the server's. */
const still = ['login', 'queue', 'person-new', 'claim', 'me', 'lost']

export async function walkSweep({ page, base, look, expected }) {
  const mock = async (query) => (await page.request.get(`${base}/__mock/${query}`)).json()
  await page.request.post(`${base}/__mock/reset`)
  await login({ page, base, look: async () => {}, phone: '13800000001' })
  await mock('set?turn=early&lottery=open')
  const visit = await mock('today')
  await page.goto(`${base}/m/doctors/p1`)
  await page.click('.day[data-kind=open]')
  await page.locator('.slot:not([disabled])').first().click()
  await page.click('.actionbar .btn--primary')
  await page.waitForURL(/\/check\//)
  await page.waitForSelector('#agree')
  const check = page.url().slice(`${base}/m`.length)
  const urls = {
    home: '/', departments: '/departments', doctors: '/doctors?department=d1', doctor: '/doctors/p1', check, lottery: '/lottery/s-p2-1-morning?doctor=p2',
    pay: `/pay/${visit.payment_id}`, done: `/done/${visit.id}`, visits: '/visits', visit: `/visits/${visit.id}`, cancel: `/visits/${visit.id}/cancel`,
    refund: `/visits/${visit.id}/refund`, people: '/people', person: '/people/pt1', privacy: '/people/pt1/privacy', accesses: '/people/pt1/accesses', notices: '/notices', 'notice-settings': '/notices/settings', sessions: '/me/sessions',
  }
  for (const { name } of routes) if (!urls[name] && !still.includes(name)) throw new Error(`the route ${name} has no address in sweep.mjs`)
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined))
  await page.waitForFunction(() => navigator.serviceWorker.controller)

  await mock('set?slow=true')
  for (const [name, path] of Object.entries(urls)) {
    await page.goto(base + '/m' + path)
    await page.waitForSelector('.skel')
    await look(`${name}-loading`)
  }
  await mock('set?slow=false&fail=all&refuse=true')
  expected.push(/403/, /Forbidden/)
  for (const [name, path] of Object.entries(urls)) {
    await page.goto(base + '/m' + path)
    await page.waitForSelector('.state--warn')
    await look(`${name}-refused`)
  }
  await mock('set?fail=&refuse=false')
  expected.push(/ERR_INTERNET_DISCONNECTED/, /Failed to load resource/)
  await page.goto(`${base}/m/`) // what is kept is read once more
  await page.waitForSelector('.tickethero')
  await page.context().setOffline(true)
  for (const [name, path] of Object.entries(urls)) {
    await page.goto(base + '/m' + path)
    await page.waitForSelector('.offbar')
    await page.waitForSelector('.state--warn, [data-kept], .tickethero')
    await look(`${name}-offline`)
  }
  await page.context().setOffline(false)
}

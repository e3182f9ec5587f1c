// The corridor's screen on the stand-in: without a token, with a wrong one, calls as they come, disconnected, ten minutes later.
import assert from 'node:assert/strict'

/** Nothing on a screen that nobody can scroll may lie outside of it. */
const clipped = (page) =>
  page.evaluate(() => {
    const out = []
    if (document.documentElement.scrollHeight > innerHeight + 1) out.push(`page ${document.documentElement.scrollHeight}`)
    for (const s of ['header', '.now', '.rooms', '.plain', 'footer', '.lost']) for (const e of document.querySelectorAll(s)) if (e.scrollHeight > e.clientHeight + 2 || e.scrollWidth > e.clientWidth + 2) out.push(`${s} ${e.scrollWidth}x${e.scrollHeight} in ${e.clientWidth}x${e.clientHeight}`)
    for (const e of document.querySelectorAll('.wall p, .wall b, .wall span, .wall td, .wall th, .wall button')) {
      const r = e.getBoundingClientRect()
      if (r.width && (r.right > innerWidth + 1 || r.bottom > innerHeight + 1)) out.push(`${e.className || e.tagName} "${e.textContent.slice(0, 12)}" ends at ${Math.round(r.right)},${Math.round(r.bottom)}`)
    }
    return out.slice(0, 4)
  })

export async function walkWall({ page, base, look, expected, lang }) {
  const mock = (query) => page.request.get(`${base}/__mock/${query}`)
  await page.request.post(`${base}/__mock/reset`)
  const at = `${base}/wall/?lang=${lang}`
  const shown = async (kind) => page.waitForSelector(`body[data-screen=${kind}]`)
  const see = async (name) => {
    await look(name)
    assert.deepEqual(await clipped(page), [], `${name}: cut off`)
  }
  await page.goto(at)
  await shown('none')
  await see('none')

  expected.push(/401/, /503/, /Unauthorized/, /Service Unavailable/)
  await page.goto(`${at}#wrong-token`)
  await page.reload()
  await shown('unknown')
  await see('unknown')

  await page.goto(`${base}/wall/icon.svg`)
  await page.goto(`${at}#wall-token`)
  await shown('board')
  assert.equal(new URL(page.url()).hash, '', 'the token has left the address')
  await page.waitForSelector('.rooms tbody tr')
  await see('nobody-called')
  await page.click('.sound')
  await mock('call')
  await page.waitForSelector('[data-call]')
  assert.match(await page.innerText('.no'), /A018/)
  assert.ok(!(await page.innerText('body')).includes('张晓三'), 'no full name on the wall')
  await see('called')
  for (let i = 0; i < 4; i++) await mock('call')
  await page.waitForFunction(() => document.querySelector('.no')?.textContent === 'A022')
  await see('called-again')
  // The screen finds its token again after a restart.
  await page.goto(at)
  await shown('board')

  await mock('set?stream=off')
  await page.waitForSelector('body[data-lost=true]')
  assert.match(await page.innerText('.lost'), /\d\d:\d\d:\d\d/, 'the age of what is shown')
  await see('lost')
  const clock = await page.innerText('.clock')
  await page.evaluate(() => {
    const real = Date.now
    Date.now = () => real() + 9 * 60_000
  })
  await page.waitForFunction((before) => document.querySelector('.clock')?.textContent !== before, clock)
  await shown('board')
  await page.evaluate(() => {
    const real = Date.now
    Date.now = () => real() + 2 * 60_000
  })
  await shown('old')
  await see('old')
  await page.goto(at)
  await shown('lostFirst')
  await see('never-connected')
  await mock('set?stream=')
  await shown('board')
  assert.equal(await page.getAttribute('body', 'data-lost'), 'false')
}

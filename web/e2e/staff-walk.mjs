// The console on the real program with its demo: every role logs in by one tap and opens what its rail offers.
import assert from 'node:assert/strict'

export async function walkStaff({ page, base, look, expected }) {
  expected.push(/401/)
  const roles = ['linzhixia', 'zhouhushi', 'guahao', 'yunying', 'sysadmin', 'secadmin', 'auditadmin']
  for (const who of roles) {
    await page.goto(`${base}/console/`)
    await page.waitForSelector(`[data-account=${who}]`)
    await page.click(`[data-account=${who}]`)
    await page.waitForURL(/\/console\/today$/)
    const links = await page.locator('.rail a').evaluateAll((list) => list.map((a) => a.getAttribute('href')))
    assert.ok(links.length >= 3, `${who} has ${links.length} areas`)
    for (const href of links) {
      await page.goto(base + href)
      await page.waitForSelector('main h1')
      await page.waitForFunction(() => !document.querySelector('.skel'))
      await look(`${who}${href.replace('/console', '').replaceAll('/', '-')}`)
      assert.equal(await page.locator('.state--warn').count(), 0, `${who} ${href}: something was not read`)
      const tabs = await page.locator('.tabs a').evaluateAll((list) => list.map((a) => a.getAttribute('href')))
      for (const tab of tabs.slice(1)) {
        await page.goto(base + tab)
        await page.waitForSelector('main h1')
        await page.waitForFunction(() => !document.querySelector('.skel'))
        await look(`${who}${tab.replace('/console', '').replaceAll('/', '-')}`)
        assert.equal(await page.locator('.state--warn').count(), 0, `${who} ${tab}: something was not read`)
      }
    }
    await page.click('.top .iconbtn >> nth=-1')
    await page.waitForSelector('[data-demo]')
  }
}

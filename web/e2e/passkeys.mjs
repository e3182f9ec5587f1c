// Passkeys on the real program with Chromium's virtual authenticator: a patient and a member of staff each make one, leave, come in with
// it, and are asked to prove it once more. By the name localhost: an address has no passkeys.
import assert from 'node:assert/strict'
import { login } from './walk.mjs'

/** A device that recognises its person; `known` false: it does not any more. */
async function device(page) {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('WebAuthn.enable')
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  })
  return {
    keys: async () => (await cdp.send('WebAuthn.getCredentials', { authenticatorId })).credentials,
    known: (isUserVerified) => cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified }),
    forget: () => cdp.send('WebAuthn.clearCredentials', { authenticatorId }),
  }
}

export async function walkPasskeys({ page, base: address, look, expected }) {
  const base = address.replace('127.0.0.1', 'localhost')
  const authenticator = await device(page)

  // A patient: in by a code once, then by the phone itself.
  await login({ page, base, look: async () => {}, phone: '13800000001' })
  await page.goto(`${base}/m/me/sessions`)
  await page.waitForSelector('[data-logins] .row')
  await look('keys-none')
  await page.click('[data-add-key]')
  await page.waitForSelector('[name=keyname]')
  await look('keys-add')
  await page.click('[data-passkeys] form button[type=submit]')
  await page.waitForSelector('[data-key]')
  await look('keys-one')
  const made = await authenticator.keys()
  assert.equal(made.length, 1)
  assert.ok(made[0].isResidentCredential && made[0].rpId === 'localhost')
  assert.equal(Buffer.from(made[0].userHandle, 'base64').length, 32, 'the user handle is random and no id of ours')
  // The device has one already.
  await page.click('[data-add-key]')
  await page.click('[data-passkeys] form button[type=submit]')
  await page.waitForSelector('[data-passkeys] .note--danger')
  await look('keys-known')
  await page.goto(`${base}/m/me`)
  await page.click('[data-logout]')
  await page.waitForURL(`${base}/m/`)
  await page.goto(`${base}/m/login`)
  await page.waitForSelector('[data-passkey]')
  await look('login-with-passkey')
  // The device does not recognise who holds it.
  await authenticator.known(false)
  await page.click('[data-passkey]')
  await page.waitForSelector('form .note--danger')
  await look('login-not-recognised')
  await authenticator.known(true)
  await page.click('[data-passkey]')
  await page.waitForURL(`${base}/m/`)
  const me = await (await page.request.get(`${base}/api/v1/auth/me`)).json()
  assert.equal(me.factors, 2)
  assert.equal(me.phone_masked, '138****0001')
  // Removed, it opens nothing any more.
  await page.goto(`${base}/m/me/sessions`)
  await page.click('[data-key] [data-remove]')
  await page.waitForSelector('[data-remove-yes]')
  await look('keys-remove')
  await page.click('[data-remove-yes]')
  await page.waitForSelector('[data-key]', { state: 'detached' })
  await page.goto(`${base}/m/me`)
  await page.click('[data-logout]')
  await page.waitForURL(`${base}/m/`)
  await page.goto(`${base}/m/login`)
  expected.push(/401/)
  await page.click('[data-passkey]')
  await page.waitForSelector('form .note--danger')
  await look('login-removed')
  await authenticator.forget()

  // A member of staff, at a desk.
  await page.setViewportSize({ width: 1440, height: 900 })
  await page.goto(`${base}/console/`)
  await page.waitForSelector('[data-account=secadmin]')
  await look('console-login')
  await page.click('[data-account=secadmin]')
  await page.waitForURL(/\/console\/today$/)
  await page.goto(`${base}/console/me`)
  await page.waitForSelector('[data-logins] [data-row]')
  await page.click('[data-add-key]')
  await page.waitForSelector('[name=keyname]')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('[data-passkeys] [data-row]')
  await page.waitForSelector('.el-dialog', { state: 'detached' })
  await look('console-keys')
  await page.click('.top .iconbtn >> nth=-1')
  await page.waitForSelector('[data-passkey]')
  await page.click('[data-passkey]')
  await page.waitForURL(/\/console\/today$/)
  assert.equal((await (await page.request.get(`${base}/api/v1/auth/me`)).json()).factors, 2)
  const seen = (await (await page.request.get(`${base}/api/v1/auth/logins`)).json()).items
  assert.deepEqual(seen.slice(0, 2).map((l) => l.method), ['passkey', 'password'])
  // A staff key at the patients' entrance.
  await page.click('.top .iconbtn >> nth=-1')
  await page.waitForSelector('[data-passkey]')
  expected.push(/403/, /Forbidden/)
  await page.goto(`${base}/m/login`)
  await page.click('[data-passkey]')
  await page.waitForSelector('form .note--danger')
  await look('login-other-door')
}

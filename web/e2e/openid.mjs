// Foreign parties log in: npm openid-client drives every flow of the OpenID Connect provider against the real program, a headless
// Chromium walks the pages that a person sees, and Apache's mod_auth_openidc guards a page of its own. The other way round, npm
// oidc-provider is the group's provider by which staff come in.
//   npm run e2e:openid                   starts the real program (XINGLIN_BIN or ../bin/xinglin)
//   npm run e2e:openid -- --shots DIR    keeps pictures of the pages
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as oidc from 'openid-client'
import { chromium } from 'playwright-core'
import { planApache, startApache } from './apache.mjs'
import { findBrowser, flags } from './browser.mjs'
import { checkScreen } from './checks.mjs'
import { startXinglin } from './server.mjs'
import { staffByUpstream } from './upstream.mjs'
import { codeFor } from './walk.mjs'

const at = process.argv.indexOf('--shots')
const shots = at > 0 ? process.argv[at + 1] : ''
if (shots) mkdirSync(shots, { recursive: true })

/** The other system: an address for the browser to come back to, and one for ended sessions. */
async function startSystem() {
  const told = []
  const server = createServer((req, res) => {
    if (req.method !== 'POST') return res.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><html lang="zh"><title>back</title><main><h1>back</h1></main></html>')
    let text = ''
    req.on('data', (d) => (text += d)).on('end', () => {
      told.push(new URLSearchParams(text).get('logout_token'))
      res.writeHead(200, { 'cache-control': 'no-store' }).end()
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return { base: `http://127.0.0.1:${server.address().port}`, told, stop: () => server.close() }
}

/** A browser without pages: keeps the session's cookie and follows addresses until one leads to the other system. */
class Visitor {
  constructor(base, cookie = '') {
    this.base = base
    this.cookie = cookie
  }

  async ask(path, options = {}) {
    const r = await fetch(new URL(path, this.base), { redirect: 'manual', signal: AbortSignal.timeout(20_000), ...options, headers: { cookie: this.cookie, origin: this.base, ...options.headers } })
    const set = r.headers.get('set-cookie')
    if (set) this.cookie = set.split(';')[0]
    return r
  }

  async login(who, base) {
    const json = { 'content-type': 'application/json' }
    const d = (await (await fetch(`${base}/api/v1/demo/accounts`)).json()).items.find((a) => a.username === who || a.phone === who)
    if (d.username) {
      const r = await this.ask('/api/v1/auth/staff/sessions', { method: 'POST', headers: json, body: JSON.stringify({ username: d.username, password: d.password, totp: d.totp }) })
      assert.equal(r.status, 201, await r.text())
      return this
    }
    const sent = await this.ask('/api/v1/auth/codes', { method: 'POST', headers: json, body: JSON.stringify({ phone: who }) })
    const since = Date.parse(sent.headers.get('date'))
    const { challenge_id } = await sent.json()
    const r = await this.ask('/api/v1/auth/sessions', { method: 'POST', headers: json, body: JSON.stringify({ challenge_id, code: await codeFor(base, who, since) }) })
    assert.equal(r.status, 201, await r.text())
    return this
  }

  /** From an authorization request to the address of the other system; agrees when asked, unless no says otherwise. */
  async walk(url, { no = false } = {}) {
    for (let next = url, steps = 0; steps < 8; steps++) {
      let r = await this.ask(next)
      if (r.status === 200) {
        const handle = (await r.text()).match(/name="request" value="([^"]+)"/)?.[1]
        assert.ok(handle, 'a page that asks for consent')
        r = await this.ask('/api/v1/oidc/continue', { method: 'POST', body: new URLSearchParams({ request: handle, decision: no ? 'no' : 'yes' }) })
      }
      assert.equal(r.status, 303)
      next = new URL(r.headers.get('location'), this.base)
      if (next.origin !== this.base) return next
    }
    throw new Error('the login does not end')
  }
}

const passed = []
async function flow(name, f) {
  await f()
  passed.push(name)
  console.log(`  ${name}`)
}

async function refuses(promise, error) {
  await assert.rejects(promise, (e) => {
    assert.equal(e.error, error, String(e))
    return true
  })
}

/** What a flow needs: the answer to a login, checked by openid-client. */
async function logIn(config, visitor, system, { scope = 'openid phone', ...more } = {}) {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier()
  const expectedState = oidc.randomState()
  const expectedNonce = oidc.randomNonce()
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: `${system.base}/cb`, scope, state: expectedState, nonce: expectedNonce, code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256', ...more,
  })
  const back = await visitor.walk(url)
  const checks = { pkceCodeVerifier, expectedState, expectedNonce, ...(more.max_age ? { maxAge: Number(more.max_age) } : {}) }
  return { back, checks, tokens: await oidc.authorizationCodeGrant(config, back, checks) }
}

async function flows(base, system) {
  const issuer = new URL(`${base}/api/v1/oidc`)
  const guard = await new Visitor(base).login('secadmin', base)
  const register = async (spec) => {
    const r = await guard.ask('/api/v1/clients', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(spec) })
    assert.equal(r.status, 201, JSON.stringify(spec))
    return r.json()
  }
  const meet = (c, auth) => oidc.discovery(issuer, c.id, c.secret, auth, { execute: [oidc.allowInsecureRequests] })
  const code = ['authorization_code', 'refresh_token']
  const web = await register({
    name: '随访系统', name_en: 'Follow-up', accounts: 'any', grants: code, scopes: ['phone', 'profile', 'roles', 'offline_access'], redirect_uris: [`${system.base}/cb`],
    logout_uris: [`${system.base}/bye`], back_channel_uri: `${system.base}/logout`,
  })
  const config = await meet(web, oidc.ClientSecretBasic(web.secret))
  const zhang = await new Visitor(base).login('13800000001', base)
  let tokens

  await flow('discovery and keys', async () => {
    const m = config.serverMetadata()
    assert.equal(m.issuer, issuer.href)
    assert.ok(m.supportsPKCE() && m.authorization_response_iss_parameter_supported)
  })
  await flow('code with PKCE, state, nonce and iss; ID token, userinfo', async () => {
    const got = await logIn(config, zhang, system, { scope: 'openid phone offline_access' })
    tokens = got.tokens
    assert.equal(got.back.searchParams.get('iss'), issuer.href)
    const claims = tokens.claims()
    assert.equal(claims.aud, web.id)
    const info = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub)
    assert.equal(info.phone_number, '+8613800000001')
    await refuses(oidc.authorizationCodeGrant(config, got.back, got.checks), 'invalid_grant') // the code again
    await assert.rejects(oidc.fetchUserInfo(config, tokens.access_token, claims.sub))
  })
  await flow('a mixed-up issuer and a foreign state are noticed by the client', async () => {
    const got = await logIn(config, zhang, system)
    const mixed = new URL(got.back)
    mixed.searchParams.set('iss', 'https://evil.example')
    await assert.rejects(oidc.authorizationCodeGrant(config, mixed, got.checks))
    await assert.rejects(oidc.authorizationCodeGrant(config, got.back, { ...got.checks, expectedState: 'another' }))
  })
  await flow('refresh rotation, and a second use ends the family', async () => {
    const first = (await logIn(config, zhang, system, { scope: 'openid phone offline_access' })).tokens
    const second = await oidc.refreshTokenGrant(config, first.refresh_token)
    assert.notEqual(second.refresh_token, first.refresh_token)
    assert.equal(second.claims().sub, first.claims().sub)
    await oidc.fetchUserInfo(config, second.access_token, first.claims().sub)
    await refuses(oidc.refreshTokenGrant(config, first.refresh_token), 'invalid_grant')
    await refuses(oidc.refreshTokenGrant(config, second.refresh_token), 'invalid_grant')
    await assert.rejects(oidc.fetchUserInfo(config, second.access_token, first.claims().sub))
  })
  await flow('prompt none, consent refused, max_age', async () => {
    const nobody = new Visitor(base)
    const silent = (v) => logIn(config, v, system, { prompt: 'none' })
    await refuses(silent(nobody), 'login_required')
    await silent(zhang)
    const li = await new Visitor(base).login('13800000002', base)
    await refuses(silent(li), 'consent_required')
    const url = oidc.buildAuthorizationUrl(config, { redirect_uri: `${system.base}/cb`, scope: 'openid', state: 's', code_challenge: await oidc.calculatePKCECodeChallenge(oidc.randomPKCECodeVerifier()), code_challenge_method: 'S256' })
    assert.equal((await li.walk(url, { no: true })).searchParams.get('error'), 'access_denied')
    await logIn(config, zhang, system, { max_age: '3600' })
  })
  await flow('introspection and revocation', async () => {
    const t = (await logIn(config, zhang, system)).tokens
    assert.equal((await oidc.tokenIntrospection(config, t.access_token)).active, true)
    await oidc.tokenRevocation(config, t.access_token)
    assert.equal((await oidc.tokenIntrospection(config, t.access_token)).active, false)
    await oidc.tokenRevocation(config, t.refresh_token)
    await refuses(oidc.refreshTokenGrant(config, t.refresh_token), 'invalid_grant')
  })
  await flow('staff: two factors, name and roles; client_secret_post', async () => {
    const his = await register({ name: '院内系统', accounts: 'staff', first_party: true, grants: code, scopes: ['profile', 'roles'], redirect_uris: [`${system.base}/cb`] })
    const c = await meet(his, oidc.ClientSecretPost(his.secret))
    const doctor = await new Visitor(base).login('linzhixia', base)
    const t = (await logIn(c, doctor, system, { scope: 'openid profile roles' })).tokens
    assert.equal(t.claims().acr, 'urn:xinglin:acr:2')
    const info = await oidc.fetchUserInfo(c, t.access_token, t.claims().sub)
    assert.equal(info.preferred_username, 'linzhixia')
    assert.deepEqual(info.roles, ['doctor'])
  })
  await flow('a public client', async () => {
    const app = await register({ name: '手机应用', accounts: 'patient', public: true, grants: code, redirect_uris: [`${system.base}/cb`] })
    assert.equal(app.secret, undefined)
    const c = await meet(app, oidc.None())
    const t = (await logIn(c, zhang, system, { scope: 'openid' })).tokens
    await oidc.refreshTokenGrant(c, t.refresh_token)
  })
  await flow('client credentials', async () => {
    const lab = await register({ name: '检验接口', accounts: 'any', grants: ['client_credentials'], scopes: ['lab.read'] })
    const c = await meet(lab, oidc.ClientSecretBasic(lab.secret))
    const t = await oidc.clientCredentialsGrant(c, { scope: 'lab.read' })
    const seen = await oidc.tokenIntrospection(c, t.access_token)
    assert.ok(seen.active && seen.scope === 'lab.read' && seen.sub === lab.id)
    await refuses(oidc.clientCredentialsGrant(c, { scope: 'openid' }), 'invalid_scope')
  })
  await flow('a device', async () => {
    const screen = await register({ name: '候诊屏', accounts: 'staff', grants: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'], scopes: ['profile', 'offline_access'] })
    const c = await meet(screen, oidc.ClientSecretBasic(screen.secret))
    const started = await oidc.initiateDeviceAuthorization(c, { scope: 'openid profile offline_access' })
    const nurse = await new Visitor(base).login('zhouhushi', base)
    const waiting = oidc.pollDeviceAuthorizationGrant(c, started, undefined, { signal: AbortSignal.timeout(60_000) })
    const form = (decision) => nurse.ask('/api/v1/oidc/device', { method: 'POST', body: new URLSearchParams({ user_code: started.user_code, decision }) })
    assert.match(await (await form('look')).text(), /候诊屏/)
    assert.equal((await form('yes')).status, 200)
    const t = await waiting
    assert.equal((await oidc.fetchUserInfo(c, t.access_token, t.claims().sub)).preferred_username, 'zhouhushi')
  })
  await flow('logout by the client, and the signed back-channel token', async () => {
    const t = (await logIn(config, zhang, system)).tokens
    const before = system.told.length
    const url = oidc.buildEndSessionUrl(config, { id_token_hint: t.id_token, post_logout_redirect_uri: `${system.base}/bye`, state: 'z' })
    const back = await zhang.walk(url)
    assert.equal(back.href, `${system.base}/bye?state=z`)
    await assert.rejects(oidc.fetchUserInfo(config, t.access_token, t.claims().sub))
    assert.equal((await zhang.ask('/api/v1/auth/me')).status, 401)
    for (const end = Date.now() + 20_000; system.told.length === before; ) {
      assert.ok(Date.now() < end, 'no logout token came')
      await new Promise((r) => setTimeout(r, 100))
    }
    const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri))
    const { payload } = await jwtVerify(system.told.at(-1), keys, { issuer: issuer.href, audience: web.id, typ: 'logout+jwt', algorithms: ['ES256'] })
    assert.equal(payload.sid, t.claims().sid)
    assert.ok(payload.events['http://schemas.openid.net/event/backchannel-logout'])
    assert.equal(payload.nonce, undefined)
  })
  return { config, guard }
}

/** What people see: the choice, the login of the application, the consent page, and the way back; then a device and a logout. */
async function pages(base, system, config) {
  const browser = await chromium.launch({ executablePath: findBrowser(), args: flags })
  const problems = []
  try {
    // A code of the second factor is good once: the second visit is another person's.
    for (const [lang, who] of [['zh-CN', 'guahao'], ['en-GB', 'yunying']]) {
      const context = await browser.newContext({ viewport: { width: 390, height: 844 }, locale: lang, timezoneId: 'Asia/Shanghai' })
      const page = await context.newPage()
      page.setDefaultTimeout(20_000)
      page.on('pageerror', (e) => problems.push(`${lang}: exception: ${e.message}`))
      page.on('console', (m) => m.type() === 'error' && /Content Security Policy/i.test(m.text()) && problems.push(`${lang}: ${m.text()}`))
      const look = async (name) => {
        if (shots) await page.screenshot({ path: `${shots}/openid-${lang}-${name}.png` })
        problems.push(...(await checkScreen(page, `${lang} ${name}`, { large: false })))
      }
      const verifier = oidc.randomPKCECodeVerifier()
      const url = oidc.buildAuthorizationUrl(config, { redirect_uri: `${system.base}/cb`, scope: 'openid phone profile roles offline_access', state: 's', code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', prompt: 'consent' })
      await page.goto(url.href)
      await page.waitForSelector('.button')
      await look('choose')
      await page.click('.button >> nth=1')
      await page.waitForSelector(`[data-account=${who}]`)
      await page.click(`[data-account=${who}]`)
      await page.waitForURL(/\/oidc\/continue/)
      await page.waitForSelector('form button')
      await look('consent')
      await page.click('button[value=yes]')
      await page.waitForURL((u) => u.origin === system.base)
      await oidc.authorizationCodeGrant(config, new URL(page.url()), { pkceCodeVerifier: verifier, expectedState: 's' })
      await page.goto(`${base}/api/v1/oidc/consents`)
      await look('consents')
      await page.goto(`${base}/api/v1/oidc/device`)
      await look('device')
      await page.fill('#user_code', 'BBBB-BBBB')
      await page.click('button')
      await page.waitForSelector('.wrong')
      await look('device-wrong')
      await page.goto(`${base}/api/v1/oidc/logout`)
      await look('logout')
      await page.click('button[value=yes]')
      await page.waitForSelector('h1')
      await look('left')
      await context.close()
    }
  } finally {
    await browser.close()
  }
  for (const p of problems) console.log(`FAIL ${p}`)
  assert.equal(problems.length, 0, `${problems.length} problems on pages`)
}

/** A foreign program whose source we never saw guards a page of its own: Apache, and a browser that walks in and out. */
async function apache(base, guard) {
  const plan = await planApache()
  const made = await guard.ask('/api/v1/clients', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({
      name: '院内论坛', name_en: 'Staff forum', accounts: 'staff', grants: ['authorization_code'], scopes: ['phone', 'profile', 'roles'],
      redirect_uris: [plan.redirect], logout_uris: [plan.left], back_channel_uri: `${plan.redirect}?logout=backchannel`,
    }),
  })
  assert.equal(made.status, 201, await made.clone().text())
  const server = await startApache(plan, `${base}/api/v1/oidc`, await made.json())
  const browser = await chromium.launch({ executablePath: findBrowser(), args: flags })
  try {
    const page = await (await browser.newContext({ locale: 'zh-CN' })).newPage()
    page.setDefaultTimeout(20_000)
    const visit = () => page.goto(plan.page)
    const enter = async (who) => {
      await page.waitForSelector(`[data-account=${who}]`)
      await page.click(`[data-account=${who}]`)
      await page.waitForURL(/\/oidc\/continue/)
      await page.click('button[value=yes]')
      await page.waitForURL(plan.page)
    }
    await visit()
    await enter('sysadmin') // neither has logged in before: a one-time code is good once
    const seen = await visit()
    assert.equal(seen.status(), 200)
    assert.equal(await page.textContent('h1'), 'in')
    assert.equal(seen.headers()['x-name'], 'sysadmin')
    assert.ok(seen.headers()['x-sub'])

    await page.goto(`${plan.redirect}?logout=${encodeURIComponent(plan.left)}`) // by the client, with the ID token as its hint
    await page.waitForURL((u) => u.href.startsWith(plan.left))
    await visit()
    await page.waitForSelector('[data-account=auditadmin]') // in neither place any more
    await enter('auditadmin')

    const ended = await page.request.delete(`${base}/api/v1/auth/sessions/current`, { headers: { origin: base } }) // by the hospital: it tells the client
    assert.equal(ended.status(), 204)
    for (const end = Date.now() + 20_000; ; ) {
      const r = await page.request.get(plan.page, { maxRedirects: 0 })
      if (r.status() === 302) break
      assert.ok(Date.now() < end, 'Apache still lets in whose session has ended')
      await new Promise((done) => setTimeout(done, 100))
    }
  } finally {
    await browser.close()
    await server.stop()
  }
}

const system = await startSystem()
const server = await startXinglin()
try {
  const { config, guard } = await flows(server.base, system)
  await flow('pages in a browser, in both languages', () => pages(server.base, system, config))
  await flow('Apache with mod_auth_openidc guards a page: in, out by it, out by the hospital', () => apache(server.base, guard))
  await flow('npm oidc-provider lets staff in: linked, with one factor and with two, out when it is disabled', () => staffByUpstream(server.base))
  console.log(`openid: ${passed.length} flows passed, 0 failed`)
} finally {
  await server.stop()
  system.stop()
}

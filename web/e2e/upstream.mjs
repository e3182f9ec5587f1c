// npm oidc-provider as a hospital group's identity provider: the security administrator names it, a member of staff links the account and
// logs in by it. Nothing of the hospital is known to it but one client with its callback.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { exportJWK, generateKeyPair } from 'jose'
import Provider from 'oidc-provider'

/** The group's provider. Its login page takes the account and how it was proved (amr) from a form; codes need PKCE, ID tokens are ES256. */
async function startUpstream(client) {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const issuer = `http://127.0.0.1:${server.address().port}`
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const provider = new Provider(issuer, {
    clients: [{ ...client, id_token_signed_response_alg: 'ES256' }],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'one' }] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    pkce: { required: () => true },
    claims: { openid: ['sub', 'amr'] },
    ttl: { AccessToken: 60, AuthorizationCode: 60, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/login/${interaction.uid}` },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    async loadExistingGrant({ oidc }) { // the group does not ask its own staff for consent
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId })
      grant.addOIDCScope('openid')
      await grant.save()
      return grant
    },
  })
  const flow = provider.callback()
  const loginPage = async (req, res) => {
    if (req.method !== 'POST') return res.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>group</title><form method="post"><input name="sub"><input name="amr"></form>')
    let text = ''
    for await (const part of req) text += part
    const form = new URLSearchParams(text)
    return provider.interactionFinished(req, res, { login: { accountId: form.get('sub'), amr: form.get('amr').split(' ') } })
  }
  server.on('request', (req, res) => {
    if (!req.url.startsWith('/login/')) return flow(req, res)
    return loginPage(req, res).catch((e) => res.writeHead(500).end(String(e)))
  })
  return {
    issuer,
    stop: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** A browser without pages that goes to both places and keeps the cookies of each. */
class Person {
  constructor(base) {
    this.base = base
    this.cookies = new Map()
  }

  async ask(path, options = {}) {
    const url = new URL(path, this.base)
    const jar = this.cookies.get(url.origin) ?? this.cookies.set(url.origin, new Map()).get(url.origin)
    const cookie = [...jar].map((pair) => pair.join('=')).join('; ')
    const r = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(20_000), ...options, headers: { cookie, origin: url.origin, ...options.headers } })
    for (const set of r.headers.getSetCookie()) {
      const [, name, value] = set.match(/^([^=]+)=([^;]*)/)
      if (value) jar.set(name, value)
      else jar.delete(name)
    }
    return r
  }

  /** Tells the hospital something; the answer must have the status. */
  async tell(path, status, body, method = 'POST') {
    const r = await this.ask(`/api/v1${path}`, { method, headers: { 'content-type': 'application/json' }, body: body && JSON.stringify(body) })
    const text = await r.text()
    assert.equal(r.status, status, `${path}: ${text}`)
    return text ? JSON.parse(text) : undefined
  }

  /** From the address that a login or a link begins with, through the group's login page, to the page of the hospital that goes on. */
  async walk(address, { sub, amr }) {
    assert.notEqual(new URL(address).origin, this.base)
    let asked = false
    for (let next = address, steps = 0; steps < 8; steps++) {
      let r = await this.ask(next)
      if (r.status === 200) {
        assert.match(await r.text(), /name="sub"/)
        asked = true
        r = await this.ask(next, { method: 'POST', body: new URLSearchParams({ sub, amr }) })
      }
      assert.ok(r.status === 302 || r.status === 303, `${new URL(next).pathname}: ${r.status} ${await r.text()}`)
      next = new URL(r.headers.get('location'), next)
      if (next.origin === this.base && !next.pathname.endsWith('/callback')) {
        assert.ok(asked, 'the group asked who it is')
        return next
      }
    }
    throw new Error('the login does not end')
  }

  /** Who is logged in here, by name; the answer to nobody is 401. */
  async name() {
    const r = await this.ask('/api/v1/auth/me')
    return r.status === 200 ? (await r.json()).name : r.status
  }
}

const demoAccount = async (base, username) => (await (await fetch(`${base}/api/v1/demo/accounts`)).json()).items.find((a) => a.username === username)

/** The account's next one-time code: each opens once, and a new one comes every half minute. */
async function nextCode(base, username, used) {
  for (const end = Date.now() + 40_000; Date.now() < end; ) {
    const { totp } = await demoAccount(base, username)
    if (totp !== used) return totp
    await new Promise((r) => setTimeout(r, 200))
  }
  throw new Error('no new one-time code')
}

/** Staff come in by the group: named and tested by the security administrator, linked by its owner, with one factor and with two, and out when it is disabled. */
export async function staffByUpstream(base) {
  const key = 'alliance'
  const client = { client_id: 'xinglin', client_secret: randomBytes(24).toString('base64url'), redirect_uris: [`${base}/api/v1/auth/idp/${key}/callback`] }
  const upstream = await startUpstream(client)
  try {
    const [she, owned] = await Promise.all(['secadmin', 'yinsi'].map((username) => demoAccount(base, username)))
    const logIn = (person, { username, password }, totp) => person.tell('/auth/staff/sessions', 201, { username, password, totp })
    const owner = new Person(base)
    await logIn(owner, owned, owned.totp)
    const guard = new Person(base)
    await logIn(guard, she, await nextCode(base, she.username, she.totp)) // the flows before may have used the one of now
    const made = await guard.tell('/identity-providers', 201, {
      key, kind: 'oidc', accounts: 'staff', name: '医联体统一登录', name_en: 'Alliance sign-in', issuer: upstream.issuer, client_id: client.client_id, secret: client.client_secret, strong: ['mfa'], enabled: true,
    })
    assert.equal(made.redirect_uri, client.redirect_uris[0])
    const tested = await guard.tell(`/identity-providers/${made.id}/test`, 200)
    assert.ok(tested.ok && tested.issuer_back && tested.algorithms.includes('ES256'), JSON.stringify(tested))

    const mine = { sub: 'group-7f3a', amr: 'pwd otp mfa' }
    const begin = async (person) => (await person.tell('/auth/idp/logins', 201, { provider: key })).address
    const stranger = new Person(base)
    assert.equal((await stranger.walk(await begin(stranger), mine)).searchParams.get('refused'), 'identity.not_linked')
    assert.equal(await stranger.name(), 401)

    const name = await owner.name()
    assert.equal(name, '何静')
    const linked = await owner.walk((await owner.tell('/auth/idp/links', 201, { provider: key })).address, mine)
    assert.equal(linked.searchParams.get('refused'), null)
    assert.deepEqual((await owner.tell('/auth/idp/links', 200, undefined, 'GET')).items.map((l) => l.name), ['医联体统一登录'])
    await owner.tell('/auth/sessions/current', 204, undefined, 'DELETE')
    assert.equal(await owner.name(), 401)

    const strong = new Person(base) // the group asked for two factors and says so
    assert.equal((await strong.walk(await begin(strong), mine)).search, '')
    assert.equal(await strong.name(), name)

    const weak = new Person(base) // it asked for one: the other is the hospital's own
    assert.equal((await weak.walk(await begin(weak), { ...mine, amr: 'pwd' })).searchParams.get('more'), 'totp')
    assert.equal(await weak.name(), 401)
    await weak.tell('/auth/idp/sessions', 401, { totp: owned.totp }) // it opened her session before
    await weak.tell('/auth/idp/sessions', 201, { totp: await nextCode(base, owned.username, owned.totp) })
    assert.equal(await weak.name(), name)

    const other = new Person(base) // another of the group's people is nobody here
    assert.equal((await other.walk(await begin(other), { ...mine, sub: 'group-7f3b' })).searchParams.get('refused'), 'identity.not_linked')
    assert.equal(await other.name(), 401)

    await guard.tell(`/identity-providers/${made.id}/disable`, 200)
    assert.equal(await strong.name(), 401)
    assert.equal(await weak.name(), 401)
    await weak.tell('/auth/idp/logins', 404, { provider: key })
  } finally {
    upstream.stop()
  }
}

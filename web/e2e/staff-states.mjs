// Every route of the console and every state of it, on the stand-in: as it is, loading, failed, empty; then what a hand does there.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const src = fileURLToPath(new URL('../apps/staff/src/', import.meta.url))

/** The names of all routes, from the router's own sources. */
export function routeNames() {
  const files = ['router.ts', ...readdirSync(`${src}areas`).map((a) => `areas/${a}/routes.ts`).filter((f) => !f.includes('.ts/'))]
  const names = []
  for (const f of files) {
    let text = ''
    try {
      text = readFileSync(src + f, 'utf8')
    } catch {
      continue // an area without routes of its own: the login
    }
    for (const m of text.matchAll(/name: '([\w-]+)', component/g)) names.push(m[1])
  }
  if (names.length < 25) throw new Error(`only ${names.length} routes found: the sources have another form`)
  return names
}

/** Where each route is looked at, and what it reads: `fail` is a prefix of the API, `ready` what stands there when it is whole. */
function places(ids) {
  return {
    today: { path: '/today', fail: 'clinic,refunds,imports,ops,audit,staff', ready: '[data-line]' },
    clinic: { path: '/clinic', fail: 'clinic', ready: '[data-row]' },
    displays: { path: '/clinic/displays', fail: 'clinic/displays', ready: '[data-row]' },
    queue: { path: `/clinic/${ids.first}`, fail: 'clinic', ready: '[data-now]', full: true },
    desk: { path: '/desk', ready: '[name=who]' },
    claims: { path: '/desk/claims', fail: 'claims', ready: '[data-row]' },
    claim: { path: `/desk/claims/${ids.claim}`, fail: 'claims', ready: '[name=seen]', full: true },
    schedule: { path: '/schedule', fail: 'schedules', ready: '[data-session]' },
    session: { path: `/schedule/sessions/${ids.open}`, query: ids.sessionQuery, fail: 'schedules', ready: '.slotlist' },
    rotas: { path: '/schedule/rotas', fail: 'rotas', ready: '[data-row]' },
    'rota-new': { path: '/schedule/rotas/new', ready: '[data-preview]' },
    rota: { path: `/schedule/rotas/${ids.rota}`, query: `doctor=${ids.practitioner}`, fail: 'rotas', ready: '[data-preview]' },
    rules: { path: '/schedule/rules', fail: 'booking-rules', ready: '.preset', full: true },
    payments: { path: '/money', fail: 'payments', ready: '[data-row]' },
    refunds: { path: '/money/refunds', fail: 'refunds', ready: '[data-row]' },
    payment: { path: `/money/payments/${ids.payment}`, fail: 'payments', ready: '.kv' },
    doctors: { path: '/house', fail: 'practitioners', ready: '[data-row]' },
    departments: { path: '/house/departments', fail: 'departments', ready: '[data-row]' },
    campuses: { path: '/house/campuses', fail: 'campuses,organization', ready: '[data-row]' },
    imports: { path: '/imports', fail: 'imports', ready: '[data-row]' },
    import: { path: `/imports/${ids.import}`, fail: 'imports', ready: '.counts, [data-row]', full: true },
    deliveries: { path: '/ops/deliveries', fail: 'ops', ready: '[data-row]' },
    'dead-letters': { path: '/ops/dead-letters', fail: 'ops', ready: '[data-row]' },
    jobs: { path: '/ops/jobs', fail: 'ops', ready: '[data-row]' },
    processes: { path: '/ops/processes', fail: 'ops', ready: '[data-row]' },
    people: { path: '/people', fail: 'staff', ready: '[data-row]' },
    access: { path: '/people/access', ready: '[data-ask]' },
    person: { path: `/people/${ids.staff}`, fail: 'staff', ready: '.grant', full: true },
    clients: { path: '/people/clients', fail: 'clients,signing-keys', ready: '[data-row]' },
    client: { path: `/people/clients/${ids.client}`, fail: 'clients', ready: '[data-client]', full: true },
    privacy: { path: '/privacy', fail: 'privacy/requests', ready: '[data-row]' },
    texts: { path: '/privacy/texts', fail: 'privacy/texts', ready: '[data-row]' },
    assessments: { path: '/privacy/assessments', fail: 'privacy/assessments', ready: '[data-row]' },
    breaches: { path: '/privacy/breaches', fail: 'privacy/breaches', ready: '[data-row]' },
    retained: { path: '/privacy/retained', fail: 'privacy/retained', ready: '[data-row]' },
    audit: { path: '/audit', fail: 'audit', ready: '[data-row]' },
    chain: { path: '/audit/chain', fail: 'audit', ready: '[data-chain]' },
    proof: { path: `/audit/proofs/${ids.entry}`, fail: 'audit', ready: '[data-verdict=true]', full: true },
    me: { path: '/me', fail: 'auth/sessions,auth/passkeys,auth/logins', ready: '[data-logins] [data-row]' },
    lost: { path: '/nowhere', ready: '.state' },
  }
}

/** Switches of the stand-in, and the way to a page. */
function tools({ page, base }) {
  return {
    set: (query) => page.request.get(`${base}/__mock/set?${query}`).then((r) => r.json()),
    at: (path, query = '') => page.goto(`${base}/console${path}${query ? `?${query}` : ''}`),
  }
}

/** What the paths have to know of the stand-in's data. */
async function idsOf({ page, base, set }) {
  const ids = await set('')
  const known = await page.request.get(`${base}/api/v1/schedules`).then((r) => r.json())
  const open = known.items.find((s) => s.id === ids.open)
  return { ...ids, sessionQuery: `date=${open.date}&doctor=${open.practitioner_id}` }
}

/** Every route: as it is, loading, failed, empty. */
export async function walkStaffRoutes({ page, base, look, expected }) {
  const { set, at } = tools({ page, base })
  await page.request.post(`${base}/__mock/reset`)

  // Login: refused, then by hand.
  expected.push(/401/)
  await at('/clinic')
  await page.waitForSelector('[data-demo]')
  await look('login')
  await page.click('[data-login] button[type=submit]')
  await page.waitForSelector('[aria-invalid]')
  await look('login-faults')
  await page.fill('[name=username]', 'chief')
  await page.fill('[name=password]', 'wrong')
  await page.fill('[name=totp]', '123456')
  await page.click('[data-login] button[type=submit]')
  await page.waitForSelector('.note--danger')
  await look('login-refused')
  await page.goto(`${base}/console/login?more=totp`) // the group's provider has done its part
  await page.waitForSelector('[name=totp]')
  await look('login-more')
  await page.goto(`${base}/console/login?refused=identity.not_linked`)
  await page.waitForSelector('.note--danger, .note--warn')
  await look('login-not-linked')
  await at('/clinic')
  await page.waitForSelector('[data-demo]')
  await page.fill('[name=username]', 'chief')
  await page.fill('[name=password]', 'demo')
  await page.fill('[name=totp]', '123456')
  await page.keyboard.press('Enter')
  await page.waitForURL(/\/console\/clinic$/)

  const where = places(await idsOf({ page, base, set }))
  for (const name of routeNames()) assert.ok(name === 'login' || where[name], `the route ${name} has no place in staff-states.mjs`)

  expected.push(/500/, /Internal/)
  for (const [name, p] of Object.entries(where)) {
    await at(p.path, p.query)
    await page.waitForSelector(p.ready)
    await page.waitForFunction(() => !document.querySelector('.skel'))
    await look(name)
    if (!p.fail) continue
    await set('delay=1500')
    await at(p.path, p.query)
    await page.waitForSelector('.skel')
    await look(`${name}-loading`)
    await set(`delay=0&fail=${p.fail}`)
    await at(p.path, p.query)
    await page.waitForSelector('.state--warn')
    await look(`${name}-failed`)
    await set('fail=')
    if (p.full) continue
    await set('empty=true')
    await at(p.path, p.query)
    await page.waitForFunction(() => !document.querySelector('.skel') && document.querySelector('main h1'))
    await look(`${name}-empty`)
    await set('empty=false')
  }
}

/** Proves once more that it is the person, over the screen. */
async function prove({ page, look, set }, name) {
  await page.waitForSelector('[data-prove] [name=prove]')
  await look(name)
  await page.fill('[data-prove] [name=prove]', '123456')
  await page.keyboard.press('Enter')
  await page.waitForSelector('[data-prove]', { state: 'detached' })
  await set('old=false')
}

/** Clients: faults, made with its secret, changed, a new secret, disabled. */
export async function walkClients({ page, look, set, at, expected }) {
  expected.push(/403/)
  await at('/people/clients')
  await page.click('[data-create]')
  await page.waitForSelector('.el-dialog')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('.el-dialog [aria-invalid]')
  await look('client-faults')
  await page.fill('[name=client-name]', '慢病随访')
  await page.fill('[name=redirects]', 'https://care.example.com/cb')
  await page.click('.el-dialog summary')
  await look('client-form')
  await set('old=true')
  await page.click('.el-dialog button[type=submit]')
  await prove({ page, look, set }, 'client-prove')
  await page.waitForSelector('[data-made] [data-secret]')
  await look('client-made')
  await page.click('[data-made] a')
  await page.waitForSelector('[data-client]')
  assert.equal(await page.locator('[data-secret]').count(), 0, 'the secret is shown once')
  await page.fill('[name=scopes]', 'phone lab.read')
  await page.click('[data-client] button[type=submit]')
  await page.waitForSelector('[data-client] .note--ok')
  await look('client-saved')
  await page.click('[data-rotate]')
  await page.waitForSelector('.el-dialog')
  await look('client-rotate')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('[data-made] [data-secret]')
  await look('client-rotated')
  await page.click('[data-noted]')
  await page.click('[data-disable]')
  await page.waitForSelector('.el-dialog')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForFunction(() => !document.querySelector('[data-rotate]') && !document.querySelector('.el-dialog'))
  await look('client-disabled')
  await at('/people/clients')
  await page.click('[data-roll]')
  await page.waitForSelector('.el-dialog')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForFunction(() => document.querySelectorAll('[data-keys] [data-row]').length === 3)
  await look('signing-key-new')
}

/** The auditor's room: the search, a proof that holds and one that does not, heads compared, an export. */
export async function walkChain({ page, look, set, at, ids, expected }) {
  await at('/audit')
  await page.fill('[name=person]', 'somebody')
  await page.click('[data-search] button[type=submit]')
  await page.waitForSelector('[data-search] [aria-invalid]')
  await look('audit-fault')
  await page.fill('[name=person]', '')
  await page.fill('[name=action]', 'clinic.reveal')
  await page.click('[data-search] button[type=submit]')
  await page.waitForFunction(() => document.querySelectorAll('[data-row]').length === 3)
  await look('audit-found')
  await page.click('[data-proof] >> nth=0')
  await page.waitForSelector('[data-verdict=true]')
  for (const s of await page.locator('.parts summary').all()) await s.click()
  await look('proof-open')
  await set('forged=true')
  await at(`/audit/proofs/${ids.entry}`)
  await page.waitForSelector('[data-verdict=false]')
  await look('proof-forged')
  await set('forged=false')
  await at('/audit/chain')
  await page.waitForSelector('[data-beginning]')
  await page.click('[data-sign]')
  await page.waitForSelector('main .note--ok')
  await look('chain-signed')
  await page.click('[data-compare] button[type=submit]')
  await page.waitForSelector('[data-compare] [aria-invalid]')
  await look('chain-faults')
  await page.fill('[name=earlier]', '1')
  await page.fill('[name=later]', '3')
  await page.click('[data-compare] button[type=submit]')
  await page.waitForSelector('[data-together]')
  await look('chain-together')
  expected.push(/404/, /422/)
  await page.fill('[name=later]', '9')
  await page.click('[data-compare] button[type=submit]')
  await page.waitForSelector('[data-compare] .note--danger')
  await look('chain-no-head')
  await page.fill('[data-bundle] [name=to]', '900')
  await page.click('[data-bundle] button[type=submit]')
  await page.waitForSelector('[data-bundle] .note--danger')
  await look('chain-range')
  await page.fill('[data-bundle] [name=to]', '')
  await set('old=true')
  const file = page.waitForEvent('download')
  await page.click('[data-bundle] button[type=submit]')
  await prove({ page, look, set }, 'chain-prove')
  assert.match((await file).suggestedFilename(), /^audit-0-\d+\.jsonl$/)
  await page.waitForSelector('[data-exported]')
  await look('chain-exported')
}

/** What is done with the hand: each dialog, each refusal. */
export async function walkStaffHands({ page, base, look, expected }) {
  const { set, at } = tools({ page, base })
  await page.request.post(`${base}/__mock/reset`)
  expected.push(/401/)
  await page.request.post(`${base}/api/v1/auth/staff/sessions`, { data: { username: 'chief', password: 'demo', totp: '123456' } })
  const ids = await idsOf({ page, base, set })

  // The doctor's line: one key calls the next.
  await at(`/clinic/${ids.first}`)
  await page.waitForSelector('.now__no:not(.now__no--none)')
  const before = await page.innerText('[data-now]')
  let keys = 0
  await page.locator('main').click({ position: { x: 4, y: 4 } })
  await page.keyboard.press('Enter')
  keys++
  await page.waitForFunction((b) => document.querySelector('[data-now]')?.textContent !== b, before)
  assert.equal(keys, 1, 'call-next is one key')
  for (const [key, state] of [['r', 'recall'], ['s', 'skip']]) {
    await page.waitForFunction(() => !document.querySelector('[data-next]')?.hasAttribute('aria-busy'))
    await page.keyboard.press(key)
    await page.waitForTimeout(150)
    await look(`queue-${state}`)
  }
  await page.keyboard.press('n')
  await page.waitForSelector('.now__no:not(.now__no--none)')
  await page.click('.now .btn--quiet')
  await page.waitForSelector('.now__facts')
  await look('queue-revealed')
  await page.keyboard.press('p')
  await page.waitForSelector('.el-dialog')
  await look('queue-pause')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('.el-dialog', { state: 'detached' })
  await page.waitForFunction(() => document.querySelector('.tag--warn'))
  await look('queue-paused')
  await page.keyboard.press('p')
  await page.click('[data-act=expected] >> nth=0')
  await page.click('[data-act=missed] >> nth=0')
  await page.waitForTimeout(200)
  await look('queue-checked-in')
  expected.push(/409/)
  await set('stale=true')
  await page.keyboard.press('Enter')
  await page.waitForSelector('.note--danger')
  await look('queue-stale')
  await set('stale=false')
  await page.keyboard.press('?')
  await page.waitForSelector('.keylist')
  await look('keys')
  await page.click('.el-dialog .btn')

  // The line breaks: the numbers say how old they are, ten seconds after.
  expected.push(/ERR_INTERNET_DISCONNECTED/, /ERR_INCOMPLETE_CHUNKED_ENCODING/, /Failed to load/, /503/)
  await set('silent=true')
  await page.waitForSelector('[data-stale]', { timeout: 40_000 })
  await look('queue-old')
  await set('silent=false')
  await page.waitForSelector('[data-stale]', { state: 'detached', timeout: 60_000 })
  await page.context().setOffline(true)
  await page.waitForSelector('.offbar')
  await look('queue-offline')
  await page.context().setOffline(false)

  // Stopping a session: who is affected comes first.
  await at(`/schedule/sessions/${ids.open}`, ids.sessionQuery)
  await page.click('[data-stop]:not([disabled])')
  await page.waitForSelector('.el-dialog .affected [data-row]')
  await look('stop-ask')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('.el-dialog [aria-invalid]')
  await look('stop-fault')
  await page.fill('[name=reason]', '医生生病')
  expected.push(/412/)
  await set('stale=true')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('.el-dialog .note--danger')
  await look('stop-stale')
  assert.equal(await page.inputValue('[name=reason]'), '医生生病', 'what was typed stays')
  await set('stale=false')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('[data-progress]')
  await look('stop-progress')
  await page.waitForSelector('[data-progress] .note--ok', { timeout: 20_000 })
  await look('stop-done')

  // Publishing a rota: preview with a conflict, then publish.
  await at('/schedule/rotas/new')
  await page.click('[data-preview]')
  await page.waitForSelector('[aria-invalid=true]')
  await look('rota-faults')
  await page.selectOption('form select >> nth=0', { index: 2 })
  await page.waitForFunction(() => document.querySelectorAll('form select')[1].options.length > 1)
  await page.selectOption('form select >> nth=1', { index: 1 })
  await page.fill('input[placeholder="50.00"]', '25')
  await page.click('[data-preview]')
  await page.waitForSelector('.plan')
  await look('rota-preview')
  await page.click('[data-save]')
  await page.waitForURL(/\/schedule\/rotas\?/)
  // A change that drops sessions names the booked ones, which stay.
  await at(`/schedule/rotas/${ids.rota}`, `doctor=${ids.practitioner}`)
  await page.waitForSelector('[data-preview]')
  await page.click('[data-preview]')
  await page.waitForSelector('[data-drops]')
  await look('rota-drops')
  await at('/schedule/rules')
  await page.click('.preset >> nth=1')
  await page.click('form button[type=submit]')
  await page.waitForSelector('.note--ok')
  await look('rules-saved')

  await windowBooking({ page, look, expected, set, at })

  // Money.
  await at('/money')
  await page.click('[data-row]:has(.tag--ok) a >> nth=0')
  await page.click('[data-refund]')
  await page.waitForSelector('[name=amount]')
  await look('refund-ask')
  await page.fill('[name=amount]', '99999')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('.el-dialog [aria-invalid]')
  await look('refund-too-much')
  await page.fill('[name=amount]', '10')
  // The last proof is old: the question lies over what was typed, refuses a wrong code, can be closed, and the act goes on by itself.
  expected.push(/403/, /Forbidden/)
  await set('old=true')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('[data-prove] [name=prove]')
  await look('prove')
  await page.fill('[name=prove]', '111111')
  await page.keyboard.press('Enter')
  await page.waitForSelector('[data-prove] .note--danger')
  await look('prove-wrong')
  await page.click('[data-prove] .btn >> nth=0')
  await page.waitForSelector('[data-prove]', { state: 'detached' })
  await page.waitForSelector('.el-dialog .note--danger')
  assert.equal(await page.inputValue('[name=amount]'), '10', 'what was typed stays')
  await look('prove-closed')
  await page.click('.el-dialog button[type=submit]')
  await page.fill('[data-prove] [name=prove]', '123456')
  await page.keyboard.press('Enter')
  await page.waitForSelector('[data-prove]', { state: 'detached' })
  await page.waitForSelector('[data-row]')
  await page.waitForSelector('.el-dialog', { state: 'detached' })
  await look('refund-asked')
  await at('/money/refunds')
  await page.click('[data-retry]')
  await page.waitForSelector('.el-dialog')
  await look('refund-retry')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('.el-dialog', { state: 'detached' })
  await page.click('[data-payout]')
  await page.waitForSelector('.el-dialog')
  await look('refund-payout')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('.el-dialog', { state: 'detached' })

  // Imports: a file, its progress, its report.
  await at('/imports')
  await page.click('[data-start]')
  await page.waitForSelector('[aria-invalid]')
  await look('import-fault')
  await page.setInputFiles('#import-file', { name: 'rota.csv', mimeType: 'text/csv', buffer: Buffer.from('医生,日期\n'.repeat(2000)) })
  await page.click('[data-start]')
  await page.waitForURL(/\/imports\/.+/)
  await page.waitForSelector('progress')
  await look('import-running')
  await page.waitForSelector('.counts', { timeout: 30_000 })
  await look('import-done')

  // A rota that stops sessions which people have booked: its dry run lists them, without consent it is refused, with consent it is imported.
  const rota = (name) => page.setInputFiles('#import-file', { name, mimeType: 'text/csv', buffer: Buffer.from('医生,日期\n'.repeat(2000)) })
  assert.match(await page.textContent('[data-stops]'), /22/)
  await page.click('[data-stops] a')
  await page.waitForSelector('[name=stop-visits]')
  assert.equal(await page.isChecked('[name=stop-visits]'), false)
  await rota('rota.csv')
  await look('import-consent')
  await page.click('[data-start]')
  await page.waitForURL(/\/imports\/.+/)
  await page.waitForSelector('[data-stops] .note--warn', { timeout: 30_000 })
  await look('import-stops-refused')
  await page.click('[data-stops] a')
  await rota('rota.csv')
  await page.check('[name=stop-visits]')
  await page.click('[data-start]')
  await page.waitForURL(/\/imports\/.+/)
  await page.waitForSelector('[data-stops] .note:not(.note--warn)', { timeout: 30_000 })
  await look('import-stopped')

  // People: the secret is shown once.
  await at('/people')
  await page.click('[data-create]')
  await page.fill('[name=new-username]', 'Bad Name')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('.el-dialog [aria-invalid]')
  await look('person-fault')
  await page.fill('[name=new-username]', 'heyan2')
  await page.fill('[name=new-name]', '何砚')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('[data-made] svg[role=img]')
  await look('person-made')
  await page.click('[data-made] a')
  await page.waitForSelector('.grant')
  await page.check('[name=registrar]')
  await page.check('[name=audit_admin]')
  await look('person-clash')
  await page.uncheck('[name=audit_admin]')
  await page.click('form button[type=submit]')
  await page.waitForSelector('.note--ok')
  await look('person-saved')
  await page.click('[data-disable]')
  await page.waitForSelector('.el-dialog')
  await look('person-disable')
  await page.click('.el-dialog .btn >> nth=0')

  // Why somebody may do something: faults, permitted, refused with what is missing, forbidden, no such item, disabled.
  await at('/people/access')
  await page.click('[data-ask] button[type=submit]')
  await page.waitForSelector('[data-ask] [aria-invalid]')
  await look('access-faults')
  await page.fill('[name=who]', 'nobody')
  await page.click('[data-find]')
  await page.waitForFunction(() => document.querySelectorAll('[data-person] option').length === 1)
  await look('access-nobody')
  await page.fill('[name=who]', '')
  await page.click('[data-find]')
  await page.waitForFunction(() => document.querySelectorAll('[data-person] option').length > 5)
  await page.fill('[name=filter]', 'call')
  await page.waitForFunction(() => document.querySelectorAll('[data-action] option').length === 2)
  const { first } = await idsOf({ page, base, set })
  const why = async (name, account, action, item) => {
    await at('/people/access', new URLSearchParams({ account, action, ...(item ? { item } : {}) }).toString())
    await page.waitForFunction(() => document.querySelector('[data-answer] .verdict, [data-answer] .state--warn'))
    await look(name)
  }
  const member = (n) => `01900000-0000-7000-8000-000000000${400 + n}`
  await why('access-may', member(0), 'clinic.call_next', first)
  await page.click('[data-answer] summary')
  await look('access-rule')
  await why('access-missing', member(2), 'clinic.call_next', first)
  await why('access-forbidden', member(6), 'clinic.call_next', first)
  await why('access-list', member(3), 'audit.list_events')
  await why('access-disabled', member(20), 'clinic.call_next', first)
  expected.push(/404/)
  await why('access-gone', member(0), 'clinic.call_next', member(0))

  await walkClients({ page, look, set, at, expected })
  await walkChain({ page, look, set, at, ids: await idsOf({ page, base, set }), expected })
  // What persons ask for, texts, registers, what is kept by law.
  await at('/privacy')
  await page.click('[data-look] >> nth=0')
  await page.waitForSelector('.el-dialog .kv')
  await look('privacy-request')
  await page.selectOption('.el-dialog select', 'no')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('.el-dialog [aria-invalid]')
  await look('privacy-needs-reason')
  await page.fill('[name=note]', '与证件一致')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForFunction(() => document.querySelectorAll('[data-row]').length === 2)
  await page.click('[data-look] >> nth=0')
  await page.waitForSelector('.el-dialog .kv')
  await look('privacy-erasure')
  await at('/privacy')
  await page.click('[data-look] >> nth=1')
  await page.waitForSelector('.el-dialog .kv')
  await look('privacy-objection')
  await at('/privacy/texts')
  await page.click('[data-row=research] [data-edit]')
  await page.waitForSelector('[name=zh-title]')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('.el-dialog .fld__err')
  await look('privacy-text-form')
  for (const l of ['zh', 'en']) for (const k of ['title', 'body', 'necessity', 'effect']) await page.fill(`[name=${l}-${k}]`, `${l} ${k}`)
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('.el-dialog', { state: 'detached' })
  await look('privacy-text-published')
  await at('/privacy/assessments')
  await page.click('[data-create]')
  await page.waitForSelector('[name=processing]')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('.el-dialog .fld__err')
  await look('privacy-assessment-form')
  await at('/privacy/breaches')
  await page.click('[data-edit] >> nth=0')
  await page.waitForSelector('[name=what]')
  await page.check('[name=close]')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('.el-dialog .fld__err')
  await look('privacy-breach-form')
  await at('/privacy/retained')
  await page.click('[data-open] >> nth=0')
  await page.waitForSelector('[name=why]')
  await look('privacy-open')
  await page.fill('[name=why]', '法院调取证据函 1 号')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('[data-dossier]')
  await look('privacy-opened')

  // Displays, directory, operation.
  await at('/clinic/displays')
  await page.click('.head .btn--primary')
  await page.fill('.el-dialog input >> nth=0', '门诊楼 2 层')
  await page.check('.el-dialog input[type=checkbox] >> nth=0')
  await look('display-form')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('[data-made] svg[role=img]')
  await look('display-made')
  for (const path of ['/house', '/house/departments', '/house/campuses']) {
    await at(path)
    await page.click('[data-create]')
    await page.waitForSelector('.el-dialog')
    await page.click('.el-dialog button[type=submit]')
    await page.waitForSelector('.el-dialog [aria-invalid]')
    await look(`add${path.replaceAll('/', '-')}`)
    await page.click('.el-dialog .btn >> nth=0')
  }
  await at('/ops/dead-letters')
  await page.click('[data-replay] >> nth=0')
  await page.waitForFunction(() => document.querySelectorAll('[data-row]').length === 1)
  await look('replayed')

  // The session ends in the middle of a form: a login lies over it, and what was typed is still there.
  await at('/desk/claims')
  await page.waitForSelector('[data-row]')
  await page.focus('[data-row] [data-claim] >> nth=1')
  await page.keyboard.press('Enter')
  await page.waitForSelector('[data-state=open] .note--warn')
  await look('claim-other-name')
  await page.goBack()
  await page.focus('[data-row] [data-claim] >> nth=0')
  await page.keyboard.press('Enter')
  await page.waitForSelector('[name=seen]')
  await page.click('form button[type=submit]')
  await page.waitForSelector('.fld__err')
  await look('claim-not-seen')
  await page.check('[name=seen]')
  await set('ended=true')
  await page.click('form button[type=submit]')
  await page.waitForSelector('[data-over]')
  await look('session-ended')
  await page.fill('[data-over] [name=username]', 'chief')
  await page.fill('[data-over] [name=password]', 'demo')
  await page.fill('[data-over] [name=totp]', '123456')
  await page.keyboard.press('Enter')
  await page.waitForSelector('[data-over]', { state: 'detached' })
  assert.equal(await page.isChecked('[name=seen]'), true, 'what was ticked is kept')
  await page.click('form button[type=submit]')
  await page.waitForSelector('[data-state=proved] .note--ok')
  await look('claim-proven')

  // The claim ended while somebody looked at it.
  expected.push(/409/)
  await at('/desk/claims')
  await page.waitForSelector('[data-row]')
  await page.click('[data-row] [data-claim] >> nth=1')
  await page.waitForSelector('[name=seen]')
  await page.check('[name=seen]')
  await set('stale=true')
  await page.click('form button[type=submit]')
  await page.waitForSelector('[data-state=ended]')
  await look('claim-ended')
  await set('stale=false')

  // Another role does not get the page; the rail does not offer it.
  await page.click('.top .iconbtn >> nth=-1')
  await page.waitForSelector('[data-demo]')
  await page.click('[data-account=auditadmin]')
  await page.waitForURL(/\/today$/)
  assert.equal(await page.locator('.rail a').count(), 3, 'the auditor sees today, the trail and me')
  await at('/people')
  await page.waitForSelector('.state')
  await look('no-entry')
  await at('/me')
  await page.click('.choice >> nth=3')
  await look('me-dense')
  // Passkeys and the authenticator app.
  await page.click('[data-passkeys] [data-row] .btn >> nth=0')
  await page.fill('[name=keyname]', ' ')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('.el-dialog [aria-invalid]')
  await look('key-rename')
  await page.fill('[name=keyname]', '3 诊室电脑')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForSelector('[data-passkeys] :text("3 诊室电脑")')
  await page.click('[data-remove-key] >> nth=1')
  await page.waitForSelector('.el-dialog')
  await look('key-remove')
  await page.click('.el-dialog button[type=submit]')
  await page.waitForFunction(() => document.querySelectorAll('[data-passkeys] [data-row]').length === 2)
  expected.push(/422/)
  await page.click('[data-new-totp]')
  await page.waitForSelector('[name=newtotp]')
  await page.fill('[name=newtotp]', '111111')
  await page.keyboard.press('Enter')
  await page.waitForSelector('.el-dialog .note--danger')
  await look('totp-new')
  await page.fill('[name=newtotp]', '123456')
  await page.keyboard.press('Enter')
  await page.waitForSelector('[data-totp] .note--ok')
  await look('totp-done')
}

/** The window: found, booked, charged and printed by keys alone. */
async function windowBooking({ page, look, expected, set, at }) {
  await at('/desk')
  await page.waitForSelector('[name=who]')
  await page.focus('[name=who]')
  await page.keyboard.type('没有')
  await page.keyboard.press('Enter')
  await page.waitForSelector('[name=birth]')
  await look('desk-needs-birth')
  await page.fill('[name=birth]', '19850307')
  await page.keyboard.press('Enter')
  await page.waitForSelector('[data-register]')
  await look('desk-nobody')
  await page.click('[data-register]')
  await page.waitForSelector('[data-register-form]')
  await page.click('[data-register-form] button[type=submit]')
  await page.waitForSelector('[data-register-form] [aria-invalid]')
  await look('desk-register-faults')

  await at('/desk')
  await page.waitForSelector('[name=who]')
  await page.focus('[name=who]')
  let keys = 0
  const press = async (key) => {
    await page.keyboard.press(key)
    keys++
  }
  await page.keyboard.type('13800000001')
  keys += 11
  await press('Enter')
  await page.waitForFunction(() => document.activeElement?.tagName === 'SELECT')
  await press('ArrowDown')
  await page.waitForSelector('[data-offer]')
  await look('desk-sessions')
  await press('Tab')
  // A scrolling list takes the focus before its first entry in some browsers.
  for (let i = 0; i < 3 && !(await page.evaluate(() => document.activeElement?.matches('[data-offer]'))); i++) await press('Tab')
  await press('Enter')
  await page.waitForFunction(() => document.activeElement?.matches('[data-book]'))
  await look('desk-slot')
  expected.push(/409/)
  await set('stale=true')
  await page.keyboard.press('Enter')
  await page.waitForSelector('.note--warn')
  await look('desk-lost')
  await set('stale=false')
  await page.waitForFunction(() => document.querySelector('[data-book]:not([disabled])'))
  await page.focus('[data-book]')
  await press('Enter')
  await page.waitForFunction(() => document.activeElement?.matches('[name=cash]'))
  await look('desk-pay')
  await page.keyboard.type('1')
  keys += 1
  await press('Enter')
  await page.waitForSelector('[data-pay] [aria-invalid]')
  await look('desk-short')
  await page.fill('[name=cash]', '100')
  keys += 3
  await press('Enter')
  await page.waitForSelector('[data-ticket]:has-text("A019")')
  await page.waitForFunction(() => document.activeElement?.matches('[data-print]') || document.activeElement === document.body)
  await look('desk-done')
  assert.ok(keys <= 30, `booking at the window took ${keys} keys`)
  console.log(`booking at the window: ${keys} keys, of which 11 are the phone number`)
  await page.click('.visit .btn--danger')
  await page.waitForSelector('.el-dialog')
  await look('desk-cancel')
  await page.click('.el-dialog .btn >> nth=0')
}

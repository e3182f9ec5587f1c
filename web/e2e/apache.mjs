// Apache with Debian's mod_auth_openidc as the other system: a page that only who has logged in at the hospital sees. Nothing of the
// provider is known to it but its address and the client's secret.
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'

const modules = '/usr/lib/apache2/modules'

/** A port that was free a moment ago. */
async function freePort() {
  const s = createServer()
  await once(s.listen(0, '127.0.0.1'), 'listening')
  const { port } = s.address()
  await new Promise((done) => s.close(done))
  return port
}

/** Where the page will be, so that a client can be registered for it before Apache starts. */
export async function planApache() {
  const base = `http://127.0.0.1:${await freePort()}`
  return { base, page: `${base}/guarded/`, redirect: `${base}/guarded/callback`, left: `${base}/left.html` }
}

export async function startApache(plan, issuer, client) {
  for (const file of ['/usr/sbin/apache2', `${modules}/mod_auth_openidc.so`])
    if (!existsSync(file)) throw new Error(`${file} is missing: sh scripts/need.sh apache`)
  const dir = mkdtempSync(join(tmpdir(), 'xinglin-apache-'))
  chmodSync(dir, 0o755) // Apache reads the pages as another user when it was started by root
  mkdirSync(join(dir, 'pages/guarded'), { recursive: true })
  writeFileSync(join(dir, 'pages/left.html'), '<!doctype html><html lang="zh"><title>left</title><h1>left</h1></html>')
  writeFileSync(join(dir, 'pages/guarded/index.html'), '<!doctype html><html lang="zh"><title>in</title><h1>in</h1></html>')
  const load = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'headers', 'dir', 'mime', 'auth_openidc'].map((m) => `LoadModule ${m}_module ${modules}/mod_${m}.so`)
  writeFileSync(
    join(dir, 'apache.conf'),
    `${load.join('\n')}
ServerRoot ${dir}
DefaultRuntimeDir ${dir}
ServerName 127.0.0.1
Listen ${new URL(plan.base).host}
PidFile ${dir}/pid
ErrorLog ${dir}/error.log
LogLevel warn
User www-data
Group www-data
TypesConfig /dev/null
AddType text/html .html
DocumentRoot ${dir}/pages
DirectoryIndex index.html
OIDCProviderMetadataURL ${issuer}/.well-known/openid-configuration
OIDCClientID ${client.id}
OIDCClientSecret ${client.secret}
OIDCRedirectURI ${plan.redirect}
OIDCScope "openid phone profile roles"
OIDCPKCEMethod S256
OIDCCryptoPassphrase ${client.secret}
OIDCPassClaimsAs environment
<Location /guarded/>
  AuthType openid-connect
  Require valid-user
  Header set X-Sub "%{OIDC_CLAIM_sub}e"
  Header set X-Name "%{OIDC_CLAIM_preferred_username}e"
</Location>
`,
    { mode: 0o600 },
  )
  const child = spawn('/usr/sbin/apache2', ['-DFOREGROUND', '-f', join(dir, 'apache.conf')], { stdio: ['ignore', 'inherit', 'inherit'] })
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const end = once(child, 'exit')
      child.kill('SIGTERM')
      await end
    }
    rmSync(dir, { recursive: true, force: true })
  }
  for (const end = Date.now() + 20_000; ; ) {
    if ((await fetch(plan.left).catch(() => null))?.ok) return { ...plan, stop }
    if (child.exitCode !== null || Date.now() > end) {
      await stop()
      throw new Error('Apache did not start')
    }
    await new Promise((r) => setTimeout(r, 50))
  }
}

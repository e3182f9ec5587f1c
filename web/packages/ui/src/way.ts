/**
 * Where a login leads: "app" is a route of the application, "page" a page of the server (a login that another system asked for).
 * Anything else, and every other origin, is the fallback.
 */
export function wayAfterLogin(next: unknown, fallback: string, base = ''): { kind: 'app' | 'page'; to: string } {
  let text = typeof next === 'string' ? next : ''
  if (base && text.startsWith(base)) text = '/' + text.slice(base.length) // as an identity provider's login leads back
  if (!text.startsWith('/') || text.startsWith('//')) return { kind: 'app', to: fallback }
  return /^\/api\/v1\/oidc\/(continue\?|device$|device\?|consents$)/.test(text) ? { kind: 'page', to: text } : { kind: 'app', to: text }
}

/** The same way as an address of the site, for a login that leaves the application on its way. */
export function addressAfterLogin(next: unknown, fallback: string, base: string): string {
  const way = wayAfterLogin(next, fallback, base)
  return way.kind === 'page' ? way.to : base + way.to.slice(1)
}

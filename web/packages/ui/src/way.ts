/**
 * Where a login leads: "app" is a route of the application, "page" a page of the server (a login that another system asked for).
 * Anything else, and every other origin, is the fallback.
 */
export function wayAfterLogin(next: unknown, fallback: string): { kind: 'app' | 'page'; to: string } {
  const text = typeof next === 'string' ? next : ''
  if (!text.startsWith('/') || text.startsWith('//')) return { kind: 'app', to: fallback }
  return /^\/api\/v1\/oidc\/(continue\?|device$|device\?|consents$)/.test(text) ? { kind: 'page', to: text } : { kind: 'app', to: text }
}

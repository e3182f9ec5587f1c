import { reactive } from 'vue'
import type { Client, ClientSpec } from '@xinglin/api'

export const grantTypes = ['authorization_code', 'refresh_token', 'client_credentials', 'urn:ietf:params:oauth:grant-type:device_code'] as const
/** The name of a grant among the words: a key has no colons. */
export const grantWord = (g: string) => (g.startsWith('urn:') ? 'device_code' : g)

const lines = (text: string) => text.split(/\s+/).filter(Boolean)

/** What the form holds: lists are text, one entry a line. */
export interface ClientForm {
  name: string
  name_en: string
  kind: 'secret' | 'public'
  first_party: boolean
  accounts: ClientSpec['accounts']
  grants: ClientSpec['grants']
  scopes: string
  redirects: string
  logouts: string
  back: string
  sector: string
}

export function clientForm(c?: Client): ClientForm {
  return reactive({
    name: c?.name ?? '', name_en: c?.name_en ?? '', kind: c?.public ? 'public' : 'secret', first_party: c?.first_party ?? false, accounts: c?.accounts ?? 'patient',
    grants: [...(c?.grants ?? ['authorization_code', 'refresh_token'])], scopes: (c?.scopes ?? []).filter((s) => s !== 'openid').join(' '), redirects: (c?.redirect_uris ?? []).join('\n'),
    logouts: (c?.logout_uris ?? []).join('\n'), back: c?.back_channel_uri ?? '', sector: c?.sector ?? '',
  })
}

export function specOf(f: ClientForm): ClientSpec {
  return {
    name: f.name.trim(), accounts: f.accounts, grants: f.grants, scopes: lines(f.scopes), redirect_uris: lines(f.redirects), logout_uris: lines(f.logouts),
    ...(f.name_en.trim() ? { name_en: f.name_en.trim() } : {}), ...(f.kind === 'public' ? { public: true } : {}), ...(f.first_party ? { first_party: true } : {}),
    ...(f.back.trim() ? { back_channel_uri: f.back.trim() } : {}), ...(f.sector.trim() ? { sector: f.sector.trim() } : {}),
  }
}

/** What is missing before the server is asked. */
export function missing(f: ClientForm): { name: boolean; grants: boolean; redirects: boolean } {
  return { name: !f.name.trim(), grants: !f.grants.length, redirects: f.grants.includes('authorization_code') && !lines(f.redirects).length }
}

import { describe, expect, it } from 'vitest'
import { wayAfterLogin } from '../src/way'

describe('the way after a login', () => {
  it.each([
    ['/visits', { kind: 'app', to: '/visits' }],
    ['/api/v1/oidc/continue?request=abc', { kind: 'page', to: '/api/v1/oidc/continue?request=abc' }],
    ['/api/v1/oidc/device', { kind: 'page', to: '/api/v1/oidc/device' }],
    ['/api/v1/oidc/device?user_code=BCDF-GHJK', { kind: 'page', to: '/api/v1/oidc/device?user_code=BCDF-GHJK' }],
    ['/api/v1/oidc/consents', { kind: 'page', to: '/api/v1/oidc/consents' }],
    ['/api/v1/oidc/continue/../../x', { kind: 'app', to: '/api/v1/oidc/continue/../../x' }],
    ['/api/v1/oidc/logout?x=1', { kind: 'app', to: '/api/v1/oidc/logout?x=1' }],
    ['//evil.example/', { kind: 'app', to: '/' }],
    ['https://evil.example/', { kind: 'app', to: '/' }],
    ['javascript:alert(1)', { kind: 'app', to: '/' }],
    ['', { kind: 'app', to: '/' }],
    [undefined, { kind: 'app', to: '/' }],
    [['/a', '/b'], { kind: 'app', to: '/' }],
  ])('%j', (next, want) => expect(wayAfterLogin(next, '/')).toEqual(want))
})

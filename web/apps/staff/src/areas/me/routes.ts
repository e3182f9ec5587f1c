import type { Area } from '../area'

export const me: Area = {
  name: 'me',
  icon: 'user',
  roles: [],
  routes: [{ path: '/me', name: 'me', component: () => import('./MeScreen.vue'), meta: { title: 'title.me' } }],
}

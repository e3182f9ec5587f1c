import type { Area } from '../area'

export const desk: Area = {
  name: 'desk',
  icon: 'ticket',
  roles: ['registrar'],
  routes: [
    { path: '/desk', name: 'desk', component: () => import('./DeskScreen.vue'), meta: { title: 'title.desk' } },
    { path: '/desk/claims', name: 'claims', component: () => import('./ClaimsScreen.vue'), meta: { title: 'title.claims' } },
    { path: '/desk/claims/:id', name: 'claim', component: () => import('./ClaimScreen.vue'), meta: { title: 'title.claim' } },
  ],
}

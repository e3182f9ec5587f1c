import type { Area } from '../area'

export const desk: Area = {
  name: 'desk',
  icon: 'ticket',
  roles: ['registrar'],
  routes: [
    { path: '/desk', name: 'desk', component: () => import('./DeskScreen.vue'), meta: { title: 'title.desk' } },
    { path: '/desk/claims', name: 'claims', component: () => import('./ClaimScreen.vue'), meta: { title: 'title.claims' } },
  ],
}

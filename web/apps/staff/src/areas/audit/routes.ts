import type { Area } from '../area'

export const audit: Area = {
  name: 'audit',
  icon: 'shield',
  roles: ['audit_admin'],
  routes: [{ path: '/audit', name: 'audit', component: () => import('./AuditScreen.vue'), meta: { title: 'title.audit' } }],
}

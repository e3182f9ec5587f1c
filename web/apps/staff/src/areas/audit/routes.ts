import type { Area } from '../area'

export const audit: Area = {
  name: 'audit',
  icon: 'shield',
  roles: ['audit_admin'],
  routes: [
    { path: '/audit', name: 'audit', component: () => import('./AuditScreen.vue'), meta: { title: 'title.audit' } },
    { path: '/audit/chain', name: 'chain', component: () => import('./ChainScreen.vue'), meta: { title: 'title.chain' } },
    { path: '/audit/proofs/:id', name: 'proof', component: () => import('./ProofScreen.vue'), meta: { title: 'title.proof' } },
  ],
}

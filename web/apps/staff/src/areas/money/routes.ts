import type { Area } from '../area'

export const money: Area = {
  name: 'money',
  icon: 'money',
  roles: ['operator', 'registrar'],
  routes: [
    { path: '/money', name: 'payments', component: () => import('./PaymentsScreen.vue'), meta: { title: 'title.payments' } },
    { path: '/money/refunds', name: 'refunds', component: () => import('./RefundsScreen.vue'), meta: { title: 'title.refunds' } },
    { path: '/money/payments/:id', name: 'payment', component: () => import('./PaymentScreen.vue'), meta: { title: 'title.payment' } },
  ],
}

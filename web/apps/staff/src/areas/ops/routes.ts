import type { Area } from '../area'

export const ops: Area = {
  name: 'ops',
  icon: 'server',
  roles: ['system_admin', 'operator'],
  routes: [
    { path: '/ops/deliveries', name: 'deliveries', component: () => import('./DeliveriesScreen.vue'), meta: { title: 'title.deliveries' } },
    { path: '/ops/dead-letters', name: 'dead-letters', component: () => import('./LettersScreen.vue'), meta: { title: 'title.dead-letters', roles: ['system_admin'] } },
    { path: '/ops/jobs', name: 'jobs', component: () => import('./JobsScreen.vue'), meta: { title: 'title.jobs', roles: ['system_admin'] } },
    { path: '/ops/processes', name: 'processes', component: () => import('./ProcessesScreen.vue'), meta: { title: 'title.processes', roles: ['system_admin'] } },
  ],
}

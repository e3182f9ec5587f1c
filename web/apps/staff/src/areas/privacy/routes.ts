import type { Area } from '../area'

export const privacy: Area = {
  name: 'privacy',
  icon: 'lock',
  roles: ['privacy_officer', 'operator', 'security_admin'],
  routes: [
    { path: '/privacy', name: 'privacy', component: () => import('./RequestsScreen.vue'), meta: { title: 'title.privacy', roles: ['privacy_officer'] } },
    { path: '/privacy/texts', name: 'texts', component: () => import('./TextsScreen.vue'), meta: { title: 'title.texts', roles: ['privacy_officer', 'operator'] } },
    { path: '/privacy/assessments', name: 'assessments', component: () => import('./AssessmentsScreen.vue'), meta: { title: 'title.assessments', roles: ['privacy_officer'] } },
    { path: '/privacy/breaches', name: 'breaches', component: () => import('./BreachesScreen.vue'), meta: { title: 'title.breaches', roles: ['privacy_officer', 'security_admin'] } },
    { path: '/privacy/retained', name: 'retained', component: () => import('./RetainedScreen.vue'), meta: { title: 'title.retained', roles: ['privacy_officer'] } },
  ],
}

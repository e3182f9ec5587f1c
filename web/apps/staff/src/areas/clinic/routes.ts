import type { Area } from '../area'

export const clinic: Area = {
  name: 'clinic',
  icon: 'pulse',
  roles: ['doctor', 'nurse', 'registrar', 'operator'],
  routes: [
    { path: '/clinic', name: 'clinic', component: () => import('./SessionsScreen.vue'), meta: { title: 'title.clinic' } },
    { path: '/clinic/displays', name: 'displays', component: () => import('./DisplaysScreen.vue'), meta: { title: 'title.displays', roles: ['operator'] } },
    { path: '/clinic/:id', name: 'queue', component: () => import('./QueueScreen.vue'), meta: { title: 'title.queue' } },
  ],
}

import type { Area } from '../area'

export const people: Area = {
  name: 'people',
  icon: 'users',
  roles: ['security_admin'],
  routes: [
    { path: '/people', name: 'people', component: () => import('./PeopleScreen.vue'), meta: { title: 'title.people' } },
    { path: '/people/access', name: 'access', component: () => import('./AccessScreen.vue'), meta: { title: 'title.access' } },
    { path: '/people/clients', name: 'clients', component: () => import('./ClientsScreen.vue'), meta: { title: 'title.clients' } },
    { path: '/people/clients/:id', name: 'client', component: () => import('./ClientScreen.vue'), meta: { title: 'title.client' } },
    { path: '/people/:id', name: 'person', component: () => import('./PersonScreen.vue'), meta: { title: 'title.person' } },
  ],
}

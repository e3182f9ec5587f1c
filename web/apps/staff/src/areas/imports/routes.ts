import type { Area } from '../area'

export const imports: Area = {
  name: 'imports',
  icon: 'upload',
  roles: ['operator'],
  routes: [
    { path: '/imports', name: 'imports', component: () => import('./ImportsScreen.vue'), meta: { title: 'title.imports' } },
    { path: '/imports/:id', name: 'import', component: () => import('./ImportScreen.vue'), meta: { title: 'title.import' } },
  ],
}

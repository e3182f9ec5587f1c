import type { Area } from '../area'

export const schedule: Area = {
  name: 'schedule',
  icon: 'cal',
  roles: ['operator', 'doctor', 'nurse', 'registrar'],
  routes: [
    { path: '/schedule', name: 'schedule', component: () => import('./WeekScreen.vue'), meta: { title: 'title.schedule' } },
    { path: '/schedule/sessions/:id', name: 'session', component: () => import('./SessionScreen.vue'), meta: { title: 'title.session' } },
    { path: '/schedule/rotas', name: 'rotas', component: () => import('./RotasScreen.vue'), meta: { title: 'title.rotas', roles: ['operator'] } },
    { path: '/schedule/rotas/new', name: 'rota-new', component: () => import('./RotaScreen.vue'), meta: { title: 'title.rotaNew', roles: ['operator'] } },
    { path: '/schedule/rotas/:id', name: 'rota', component: () => import('./RotaScreen.vue'), meta: { title: 'title.rota', roles: ['operator'] } },
    { path: '/schedule/rules', name: 'rules', component: () => import('./RulesScreen.vue'), meta: { title: 'title.rules', roles: ['operator'] } },
  ],
}

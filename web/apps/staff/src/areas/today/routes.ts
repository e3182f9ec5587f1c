import type { Area } from '../area'

export const today: Area = {
  name: 'today',
  icon: 'home',
  roles: [],
  routes: [{ path: '/today', name: 'today', component: () => import('./TodayScreen.vue'), meta: { title: 'title.today' } }],
}

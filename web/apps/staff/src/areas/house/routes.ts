import type { Area } from '../area'

export const house: Area = {
  name: 'house',
  icon: 'house',
  roles: ['operator'],
  routes: [
    { path: '/house', name: 'doctors', component: () => import('./DoctorsScreen.vue'), meta: { title: 'title.doctors' } },
    { path: '/house/departments', name: 'departments', component: () => import('./DepartmentsScreen.vue'), meta: { title: 'title.departments' } },
    { path: '/house/campuses', name: 'campuses', component: () => import('./CampusesScreen.vue'), meta: { title: 'title.campuses' } },
  ],
}

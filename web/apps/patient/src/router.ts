import { START_LOCATION, createRouter, createWebHistory } from 'vue-router'
import { renewOnMissingPage } from '@xinglin/ui'
import { queryClient } from './lib/query'
import { i18n } from './i18n'
import { onUnauthorized } from './lib/api'
import { useSession } from './lib/session'
import Home from './screens/HomeScreen.vue'

declare module 'vue-router' {
  interface RouteMeta {
    /** Key of the page's title. */
    title: string
    /** Only for those who have logged in. */
    auth?: boolean
  }
}

export const router = createRouter({
  history: createWebHistory('/m/'),
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
  routes: [
    { path: '/', name: 'home', component: Home, meta: { title: 'title.home' } },
    { path: '/login', name: 'login', component: () => import('./screens/LoginScreen.vue'), meta: { title: 'title.login' } },
    { path: '/departments', name: 'departments', component: () => import('./screens/DepartmentsScreen.vue'), meta: { title: 'title.departments' } },
    { path: '/doctors', name: 'doctors', component: () => import('./screens/DoctorsScreen.vue'), meta: { title: 'title.doctors' } },
    { path: '/book/:dept', redirect: (to) => ({ name: 'doctors', query: { department: to.params.dept } }) },
    { path: '/doctors/:id', name: 'doctor', component: () => import('./screens/DoctorScreen.vue'), meta: { title: 'title.doctor' } },
    { path: '/check/:slot', name: 'check', component: () => import('./screens/CheckScreen.vue'), meta: { title: 'title.check', auth: true } },
    { path: '/lottery/:id', name: 'lottery', component: () => import('./screens/LotteryScreen.vue'), meta: { title: 'title.lottery' } },
    // The waiting room is a page of its own, which the server keeps light: the way to it leaves the application. Where the application
    // itself was served in its place there is no network.
    {
      path: '/queue',
      name: 'queue',
      component: Home,
      meta: { title: 'title.home' },
      beforeEnter: (to, from) => {
        if (from === START_LOCATION) return { name: 'home' }
        location.assign(router.resolve(to.fullPath).href)
        return false
      },
    },
    { path: '/pay/:id', name: 'pay', component: () => import('./screens/PayScreen.vue'), meta: { title: 'title.pay', auth: true } },
    { path: '/done/:id', name: 'done', component: () => import('./screens/DoneScreen.vue'), meta: { title: 'title.done', auth: true } },
    { path: '/visits', name: 'visits', component: () => import('./screens/VisitsScreen.vue'), meta: { title: 'title.visits', auth: true } },
    { path: '/visits/:id', name: 'visit', component: () => import('./screens/VisitScreen.vue'), meta: { title: 'title.visit', auth: true } },
    { path: '/visits/:id/cancel', name: 'cancel', component: () => import('./screens/CancelScreen.vue'), meta: { title: 'title.cancel', auth: true } },
    { path: '/visits/:id/refund', name: 'refund', component: () => import('./screens/RefundScreen.vue'), meta: { title: 'title.refund', auth: true } },
    { path: '/people', name: 'people', component: () => import('./screens/PeopleScreen.vue'), meta: { title: 'title.people', auth: true } },
    { path: '/people/new', name: 'person-new', component: () => import('./screens/PersonNewScreen.vue'), meta: { title: 'title.personNew', auth: true } },
    { path: '/people/claims/:id', name: 'claim', component: () => import('./screens/ClaimScreen.vue'), meta: { title: 'title.claim', auth: true } },
    { path: '/people/:id', name: 'person', component: () => import('./screens/PersonScreen.vue'), meta: { title: 'title.person', auth: true } },
    { path: '/people/:id/privacy', name: 'privacy', component: () => import('./screens/PrivacyScreen.vue'), meta: { title: 'title.privacy', auth: true } },
    { path: '/people/:id/accesses', name: 'accesses', component: () => import('./screens/AccessesScreen.vue'), meta: { title: 'title.accesses', auth: true } },
    { path: '/notices', name: 'notices', component: () => import('./screens/NoticesScreen.vue'), meta: { title: 'title.notices', auth: true } },
    { path: '/notices/settings', name: 'notice-settings', component: () => import('./screens/NoticeSettingsScreen.vue'), meta: { title: 'title.noticeSettings', auth: true } },
    { path: '/me', name: 'me', component: () => import('./screens/MeScreen.vue'), meta: { title: 'title.me' } },
    { path: '/me/sessions', name: 'sessions', component: () => import('./screens/SessionsScreen.vue'), meta: { title: 'title.sessions', auth: true } },
    { path: '/:rest(.*)*', name: 'lost', component: () => import('./screens/LostScreen.vue'), meta: { title: 'title.lost' } },
  ],
})

router.beforeEach(async (to) => {
  const session = useSession()
  await session.ensure()
  if (to.meta.auth && !session.signedIn) return { name: 'login', query: { next: to.fullPath } }
  return true
})

router.afterEach((to, from, failure) => {
  if (failure) return
  document.title = `${i18n.global.t(to.meta.title)} · ${i18n.global.t('app.name')}`
  // A new page begins at its heading, for those who hear it.
  if (from.matched.length > 0 && to.path !== from.path)
    requestAnimationFrame(() => document.querySelector<HTMLElement>('.appbar h1')?.focus({ preventScroll: true }))
})

renewOnMissingPage(router)

onUnauthorized(() => {
  const session = useSession()
  const at = router.currentRoute.value
  session.expired()
  queryClient.removeQueries({ predicate: (q) => q.meta?.private === true })
  if (at.name !== 'login' && at.meta.auth) void router.replace({ name: 'login', query: { next: at.fullPath, ended: '1' } })
})

import { createRouter, createWebHistory } from 'vue-router'
import { renewOnMissingPage, wayAfterLogin } from '@xinglin/ui'
import { areas } from './areas'
import { i18n } from './i18n'
import { onUnauthorized } from './lib/api'
import { useSession } from './lib/session'

export const router = createRouter({
  history: createWebHistory(import.meta.env.BASE_URL),
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
  routes: [
    { path: '/', redirect: { name: 'today' } },
    { path: '/login', name: 'login', component: () => import('./areas/login/LoginScreen.vue'), meta: { title: 'title.login', bare: true } },
    ...areas.flatMap((a) => a.routes.map((r) => ({ ...r, meta: { ...r.meta!, area: a.name, ...(a.roles.length && !r.meta?.roles ? { roles: a.roles } : {}) } }))),
    { path: '/:rest(.*)*', name: 'lost', component: () => import('./shell/LostScreen.vue'), meta: { title: 'title.lost' } },
  ],
})

router.beforeEach(async (to) => {
  const session = useSession()
  await session.ensure()
  // Another system may ask somebody who is signed in to prove it again.
  if (to.name === 'login') return session.me && wayAfterLogin(to.query.next, '/today').kind === 'app' ? { name: 'today' } : true
  if (!session.me) return { name: 'login', query: to.fullPath === '/' || to.path === '/today' ? {} : { next: to.fullPath } }
  return true
})

router.afterEach((to, from, failure) => {
  if (failure) return
  document.documentElement.dataset.route = String(to.name)
  document.title = `${i18n.global.t(to.meta.title)} · ${i18n.global.t('app.name')}`
  // A new page begins at its heading, for those who hear it.
  if (from.matched.length > 0 && to.path !== from.path)
    requestAnimationFrame(() => document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true }))
})

renewOnMissingPage(router)

onUnauthorized(() => useSession().expired())

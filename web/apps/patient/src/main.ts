import '@xinglin/ui/tokens.css'
import '@xinglin/ui/kit.css'
import { applyScale, savedScale } from '@xinglin/ui'
import { VueQueryPlugin } from '@tanstack/vue-query'
import { createPinia } from 'pinia'
import { createApp } from 'vue'
import App from './App.vue'
import { i18n, initLocale } from './i18n'
import { queryClient } from './lib/query'
import { router } from './router'

applyScale(savedScale())
await initLocale()
createApp(App).use(createPinia()).use(i18n).use(VueQueryPlugin, { queryClient }).use(router).mount('#app')

if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  addEventListener('load', () => {
    navigator.serviceWorker.register('/m/sw.js', { scope: '/m/' }).catch(() => undefined) // without it only the offline shell is missing
  })
}

import '@xinglin/ui/tokens.css'
import '@xinglin/ui/kit.css'
import { applyScale, savedScale, wordsKey } from '@xinglin/ui'
import { VueQueryPlugin } from '@tanstack/vue-query'
import { createPinia } from 'pinia'
import { createApp } from 'vue'
import App from './App.vue'
import { i18n, initLocale } from './i18n'
import { queryClient } from './lib/query'
import { useWords } from './lib/words'
import { router } from './router'

applyScale(savedScale())
await initLocale()
createApp(App).provide(wordsKey, useWords).use(createPinia()).use(i18n).use(VueQueryPlugin, { queryClient }).use(router).mount('#app')
// What is read from now on is kept; the first page does not wait for it.
void import('./lib/kept').then((k) => k.keepAll())

if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  const watch = () => {
    import('./lib/update').then((u) => u.watchBuilds((path) => void router.push(path))).catch(() => undefined) // without it only what works offline is missing
  }
  // The page's load does not wait for a language that was fetched above: it may be over.
  if (document.readyState === 'complete') watch()
  else addEventListener('load', watch)
}

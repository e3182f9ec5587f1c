import '@xinglin/ui/tokens.css'
import '@xinglin/ui/kit.css'
import './element.css'
import './console.css'
import { wordsKey } from '@xinglin/ui'
import { VueQueryPlugin } from '@tanstack/vue-query'
import { createPinia } from 'pinia'
import { createApp } from 'vue'
import App from './App.vue'
import { i18n, initLocale } from './i18n'
import { applyDensity, savedDensity } from './lib/density'
import { queryClient } from './lib/query'
import { useWords } from './lib/words'
import { router } from './router'

applyDensity(savedDensity())
await initLocale()
createApp(App).provide(wordsKey, useWords).use(createPinia()).use(i18n).use(VueQueryPlugin, { queryClient }).use(router).mount('#app')

import vue from '@vitejs/plugin-vue'
import i18n from '@intlify/unplugin-vue-i18n/vite'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  plugins: [
    vue(),
    i18n({ runtimeOnly: true, dropMessageCompiler: true, include: ['patient', 'staff'].map((app) => fileURLToPath(new URL(`./apps/${app}/src/locales/*.json`, import.meta.url))) }),
  ],
  define: { __BUILD__: JSON.stringify('test') },
  test: {
    environment: 'happy-dom',
    include: ['packages/*/test/**/*.test.ts', 'apps/*/test/**/*.test.ts'],
    restoreMocks: true,
    testTimeout: 5_000,
  },
})

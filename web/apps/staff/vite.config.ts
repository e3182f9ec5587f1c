import { fileURLToPath } from 'node:url'
import i18n from '@intlify/unplugin-vue-i18n/vite'
import vue from '@vitejs/plugin-vue'
import { defineConfig, type Plugin } from 'vite'

const here = (p: string) => fileURLToPath(new URL(p, import.meta.url))

/** vue-i18n imports all of vue as one object to look whether one name is in it; it gets an object with that name (see apps/patient). */
function slimVue(): Plugin {
  const whole = /import \* as (\w+) from ["']vue["'];?/
  return {
    name: 'slim-vue',
    enforce: 'pre',
    apply: 'build',
    transform(code, id) {
      if (!/node_modules\/vue-i18n\//.test(id) || !whole.test(code)) return null
      return { code: code.replace(whole, 'import { getCurrentInstance as onlyInstance, useId as onlyUseId } from "vue"; const $1 = { getCurrentInstance: onlyInstance, useId: onlyUseId };'), map: null }
    },
  }
}

export default defineConfig({
  root: here('.'),
  base: '/console/',
  plugins: [vue(), slimVue(), i18n({ runtimeOnly: true, dropMessageCompiler: true, include: here('./src/locales/*.json') })],
  define: {
    __VUE_OPTIONS_API__: 'false',
    __VUE_PROD_DEVTOOLS__: 'false',
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    __VUE_I18N_LEGACY_API__: 'false',
    __VUE_I18N_FULL_INSTALL__: 'false',
    __INTLIFY_PROD_DEVTOOLS__: 'false',
  },
  build: {
    outDir: here('../../dist/console'),
    emptyOutDir: true,
    target: 'es2022',
    manifest: true,
    sourcemap: false,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        codeSplitting: { groups: [{ name: 'vendor', test: /node_modules[\\/](@vue[\\/](?!devtools)|vue|vue-router|vue-i18n|@intlify|pinia|@tanstack)/ }] },
      },
    },
  },
  server: { proxy: { '/api': 'http://127.0.0.1:8080' } },
})

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import i18n from '@intlify/unplugin-vue-i18n/vite'
import vue from '@vitejs/plugin-vue'
import { defineConfig, type Plugin } from 'vite'

const here = (p: string) => fileURLToPath(new URL(p, import.meta.url))

/** Writes sw.js with the build's name and files. */
function serviceWorker(): Plugin {
  return {
    name: 'service-worker',
    apply: 'build',
    generateBundle(_, bundle) {
      // Every page, so that each opens without a network; only the work for the waiting room, which needs one, is left out.
      const files = Object.values(bundle).filter((f) => f.fileName.startsWith('assets/') && !/^assets\/work-/.test(f.fileName)).map((f) => f.fileName)
      const shell = ['/m/', '/m/icon.svg', '/m/icon-192.png', '/m/badge-96.png', '/m/manifest.webmanifest', ...files.sort().map((f) => `/m/${f}`)]
      const build = createHash('sha256').update(Object.keys(bundle).sort().join() + readFileSync(here('./src/sw.js'), 'utf8')).digest('hex').slice(0, 12)
      const source = readFileSync(here('./src/sw.js'), 'utf8').replace('__BUILD__', build).replace('__SHELL__', JSON.stringify(shell))
      this.emitFile({ type: 'asset', fileName: 'sw.js', source })
    },
  }
}

/**
 * vue-i18n and reka-ui import all of vue as one object, to look whether one name is in it; that keeps hydration, custom elements and
 * more in the first load (40 KiB raw). They get an object with the two names that they use.
 */
function slimVue(): Plugin {
  const whole = /import \* as (\w+) from ["']vue["'];?/
  return {
    name: 'slim-vue',
    enforce: 'pre',
    apply: 'build',
    transform(code, id) {
      if (!/node_modules\/(vue-i18n|reka-ui)\//.test(id) || !whole.test(code)) return null
      return { code: code.replace(whole, 'import { getCurrentInstance as onlyInstance, useId as onlyUseId } from "vue"; const $1 = { getCurrentInstance: onlyInstance, useId: onlyUseId };'), map: null }
    },
  }
}

export default defineConfig({
  root: here('.'),
  base: '/m/',
  plugins: [
    vue(),
    slimVue(),
    i18n({ runtimeOnly: true, dropMessageCompiler: true, include: here('./src/locales/*.json') }),
    serviceWorker(),
  ],
  define: {
    __VUE_OPTIONS_API__: 'false',
    __VUE_PROD_DEVTOOLS__: 'false',
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    __VUE_I18N_LEGACY_API__: 'false',
    __VUE_I18N_FULL_INSTALL__: 'false',
    __INTLIFY_PROD_DEVTOOLS__: 'false',
  },
  build: {
    outDir: here('../../dist/m'),
    emptyOutDir: true,
    target: 'es2022',
    manifest: true,
    sourcemap: false,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        // One file for the libraries of the first page: it compresses better and outlives releases of ours.
        // So do the small modules that the first page needs anyway: each file of its own costs some hundred bytes.
        codeSplitting: { groups: [{ name: 'first', test: /apps[\\/]patient[\\/]src[\\/]lib[\\/](act|api|departments|display|drafts|keptAt|lotteries|query|searches|session|turn|update|visit)\.ts$/ }, { name: 'vendor', test: /node_modules[\\/](@vue[\\/](?!devtools)|vue|vue-router|vue-i18n|@intlify|pinia|@tanstack|openapi-fetch)/ }] },
      },
    },
  },
  server: { proxy: { '/api': 'http://127.0.0.1:8080' } },
})

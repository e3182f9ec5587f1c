import type { Router } from 'vue-router'

/** A page of an older build may be gone after an update: the whole application is loaded again, once for each page. */
export function renewOnMissingPage(router: Router): void {
  router.onError((error, to) => {
    if (!/dynamically imported module|Importing a module script/i.test(String(error))) return
    try {
      if (sessionStorage.getItem('reloaded') === to.fullPath) return
      sessionStorage.setItem('reloaded', to.fullPath)
    } catch {
      return
    }
    location.assign(router.resolve(to.fullPath).href)
  })
}

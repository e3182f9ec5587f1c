import type { Role } from '@xinglin/api'
import type { AreaIconName } from '../shell/AreaIcon'
import type { RouteRecordRaw } from 'vue-router'

declare module 'vue-router' {
  interface RouteMeta {
    /** Key of the page's title. */
    title: string
    /** The entry of the rail that this page belongs to. */
    area?: string
    /** Without the frame: before login. */
    bare?: boolean
    /** Who has use for the page; everybody when absent. The server decides again about each act. */
    roles?: Role[]
  }
}

/** A field of work: an entry of the rail and its screens. */
export interface Area {
  name: string
  icon: AreaIconName
  /** Who sees it in the rail; everybody when empty. */
  roles: Role[]
  routes: RouteRecordRaw[]
}

import type { Area } from './area'
import { me } from './me/routes'
import { today } from './today/routes'

/** All areas in the order of the rail. */
export const areas: Area[] = [today, me]

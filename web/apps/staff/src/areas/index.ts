import type { Area } from './area'
import { clinic } from './clinic/routes'
import { desk } from './desk/routes'
import { me } from './me/routes'
import { schedule } from './schedule/routes'
import { today } from './today/routes'

/** All areas in the order of the rail. */
export const areas: Area[] = [today, clinic, desk, schedule, me]

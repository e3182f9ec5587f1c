import type { Area } from './area'
import { audit } from './audit/routes'
import { clinic } from './clinic/routes'
import { desk } from './desk/routes'
import { house } from './house/routes'
import { imports } from './imports/routes'
import { me } from './me/routes'
import { money } from './money/routes'
import { ops } from './ops/routes'
import { people } from './people/routes'
import { privacy } from './privacy/routes'
import { schedule } from './schedule/routes'
import { today } from './today/routes'

/** All areas in the order of the rail. */
export const areas: Area[] = [today, clinic, desk, schedule, money, house, imports, ops, people, privacy, audit, me]

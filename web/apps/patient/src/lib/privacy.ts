import { createCall } from '@xinglin/api/factors'
import { createPrivacy } from '@xinglin/api/privacy'
import { sessionEnded } from './api'
import { askProof } from './factors'

export const privacy = createPrivacy(createCall({ onUnauthorized: sessionEnded, stepUp: askProof }), askProof)

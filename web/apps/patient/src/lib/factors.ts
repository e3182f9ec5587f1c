// Passkeys and proving it once more: only for the screens that have to do with them, so not in the first load.
import { shallowRef } from 'vue'
import { createCall, createFactors } from '@xinglin/api/factors'
import { sessionEnded } from './api'

/** The question to prove it once more, while it is open; the screen shows it. */
export const proving = shallowRef<Promise<boolean> | null>(null)
let settle: (ok: boolean) => void = () => undefined

export function askProof(): Promise<boolean> {
  proving.value ??= new Promise<boolean>((done) => {
    settle = (ok) => {
      proving.value = null
      done(ok)
    }
  })
  return proving.value
}

/** Answers: the act goes on, or is refused. */
export function proved(ok: boolean): void {
  settle(ok)
}

export const factors = createFactors(createCall({ onUnauthorized: sessionEnded, stepUp: askProof }))

import { shallowRef } from 'vue'

/** The question to prove it once more, while it is open. Who asks meanwhile waits for the same answer. */
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

/** Answers all who wait: they go on, or are refused. */
export function proved(ok: boolean): void {
  settle(ok)
}

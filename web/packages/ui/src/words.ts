import { inject, type InjectionKey } from 'vue'

/** What the kit's own sentences need of an app: its texts (state.* and act.*) and how it words a failure. */
export interface KitWords {
  t: (key: string) => string
  errorText: (error: unknown) => string
  /** The request id of a failure; empty without one. */
  traceOf: (error: unknown) => string
}

/** An app provides its own `useWords`, which is called in the setup of each component that speaks. */
export const wordsKey: InjectionKey<() => KitWords> = Symbol('the words of the app')

/** The words of the app around. */
export function useKitWords(): KitWords {
  const use = inject(wordsKey, undefined)
  if (!use) throw new Error('@xinglin/ui: the app provides no words; app.provide(wordsKey, useWords)')
  return use()
}

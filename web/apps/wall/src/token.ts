const slot = 'xinglin.wall.token'

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // half an escape: as it came
  }
}

/**
 * The display's token: a new one from the address's fragment, which never goes to a server and is taken out of the address at once, else
 * the one of before. Empty when there is none.
 */
export function takeToken(place: Pick<Location, 'hash' | 'pathname' | 'search'>, history: Pick<History, 'replaceState'>, store: Pick<Storage, 'getItem' | 'setItem'>): string {
  const fresh = decoded(place.hash.replace(/^#/, '')).trim()
  if (fresh) {
    try {
      store.setItem(slot, fresh)
    } catch {
      // A screen that keeps nothing needs its address again after a restart.
    }
    history.replaceState(null, '', place.pathname + place.search)
    return fresh
  }
  try {
    return store.getItem(slot) ?? ''
  } catch {
    return ''
  }
}

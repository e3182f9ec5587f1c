// Type size (关怀版) and language: remembered on the device, set on <html>.
export const scales = ['100', '131', '160', '190'] as const
export type Scale = (typeof scales)[number]

const key = 'xinglin.display.scale'

function read(k: string): string | null {
  try {
    return localStorage.getItem(k)
  } catch {
    return null
  }
}

export function remember(k: string, value: string): void {
  try {
    localStorage.setItem(k, value)
  } catch {
    // A browser that refuses storage forgets the choice; the page still obeys it.
  }
}

export function recall(k: string): string | null {
  return read(k)
}

export function forget(k: string): void {
  try {
    localStorage.removeItem(k)
  } catch {
    // nothing was kept
  }
}

export function savedScale(): Scale {
  const v = read(key)
  return scales.find((s) => s === v) ?? '100'
}

/** Applies a type size to the page and remembers it. */
export function applyScale(scale: Scale): void {
  const root = document.documentElement
  root.classList.toggle('large', scale !== '100')
  if (scale === '160' || scale === '190') root.dataset.scale = scale
  else delete root.dataset.scale
  remember(key, scale)
}

// The browser is the machine's own: env CHROMIUM, or one of its usual names in PATH.
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export function findBrowser() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM
  for (const dir of (process.env.PATH ?? '').split(delimiter))
    for (const name of ['chromium', 'chromium-browser', 'google-chrome']) if (existsSync(join(dir, name))) return join(dir, name)
  throw new Error('no Chromium in PATH: apt-get install chromium fonts-noto-cjk, or set CHROMIUM')
}

export const flags = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

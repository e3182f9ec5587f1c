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

/** Does the jobs in their order, two at a time: as many browsers as the machine of the tests has cores. All end before it returns; the first error is thrown. */
export async function twoLanes(jobs) {
  const rest = [...jobs]
  const lane = async () => {
    for (let job = rest.shift(); job; job = rest.shift()) await job()
  }
  const ends = await Promise.allSettled([lane(), lane()])
  const bad = ends.find((e) => e.status === 'rejected')
  if (bad) throw bad.reason
}

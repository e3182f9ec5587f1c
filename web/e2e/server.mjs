// Starts what the browser walks against: the real program with a new data folder, or the stand-in that makes states. Both on free
// loopback ports, both ended by their own process.
import { spawn } from 'node:child_process'
import { createWriteStream, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

/** n ports that were free a moment ago; all are taken before the first is given back, so that no two are the same. */
async function freePorts(n) {
  const doors = await Promise.all(Array.from({ length: n }, () => new Promise((yes, no) => {
    const s = createServer().once('error', no).listen(0, '127.0.0.1', () => yes(s))
  })))
  const ports = doors.map((s) => s.address().port)
  await Promise.all(doors.map((s) => new Promise((done) => s.close(done))))
  return ports
}

/** Runs a program until stop() is called; its words go to a file that is shown when it fails to answer. */
async function run(command, args, { ready, log, seconds }) {
  const out = createWriteStream(log)
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.pipe(out)
  child.stderr.pipe(out)
  let ended = ''
  const exit = new Promise((done) => {
    child.once('error', (e) => done((ended = e.message)))
    child.once('exit', (code, signal) => done((ended = `ended with ${signal ?? code}`)))
  })
  const stop = async () => {
    if (ended) return
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), 20_000)
    await exit
    clearTimeout(late)
  }
  const end = performance.now() + seconds * 1000
  while (!ended && performance.now() < end) {
    const answer = await fetch(ready, { signal: AbortSignal.timeout(2_000) }).catch(() => null)
    if (answer?.ok) return { stop, ended: () => ended }
    await new Promise((r) => setTimeout(r, 50))
  }
  await stop()
  throw new Error(`${command} ${ended || `did not answer within ${seconds} s`}\n${readFileSync(log, 'utf8').split('\n').slice(-20).join('\n')}`)
}

/** The asset that the built application begins with; the page that is served must name the same. */
const entryOf = (html) => html.match(/assets\/index-[\w-]+\.js/)?.[0]

async function sameBuild(base) {
  const built = entryOf(readFileSync(here('../dist/m/index.html'), 'utf8'))
  const served = entryOf(await (await fetch(`${base}/m/`)).text())
  if (!built || built !== served) throw new Error(`${base} serves ${served}, web/dist holds ${built}: make build`)
}

export const program = process.env.XINGLIN_BIN || here('../../bin/xinglin')

/** The real program with --demo. XINGLIN_BIN names it, else ../bin/xinglin. A port that somebody else took meanwhile is no failure: others are tried, twice. */
export async function startXinglin(more = () => []) {
  for (let left = 2; ; left--) {
    try {
      return await startOnce(more)
    } catch (e) {
      if (!left || !e.message.includes('address already in use')) throw e
    }
  }
}

async function startOnce(more) {
  const bin = program
  if (!existsSync(bin)) throw new Error(`${bin} is not there: make build`)
  const folder = mkdtempSync(join(tmpdir(), 'xinglin-e2e-'))
  const [main, inner, pay] = await freePorts(3)
  const base = `http://127.0.0.1:${main}`
  const started = performance.now()
  const clear = () => rmSync(folder, { recursive: true, force: true })
  try {
    const args = ['serve', '--data', join(folder, 'data'), '--listen', `127.0.0.1:${main}`, '--private', `127.0.0.1:${inner}`, '--demo-pay', `127.0.0.1:${pay}`, '--demo', ...more(folder)]
    const server = await run(bin, args, { ready: `${base}/readyz`, log: join(folder, 'log'), seconds: 90 })
    const stop = async () => {
      await server.stop()
      clear()
    }
    await sameBuild(base).catch(async (e) => {
      await server.stop()
      throw e
    })
    return { base, stop, readyMs: Math.round(performance.now() - started) }
  } catch (e) {
    clear()
    throw e
  }
}

/** The real program two minutes before its release, with a waiting room that everybody goes through. */
export function startAtEight() {
  const today = new Date(Date.now() + 8 * 3600e3).toISOString().slice(0, 10)
  return startXinglin((folder) => {
    const rooms = join(folder, 'rooms.json')
    writeFileSync(rooms, JSON.stringify({ rooms: [{ name: 'eight', from: '06:30', to: '07:30', per_second: 1, pass_seconds: 100 }] }))
    return ['--clock', `${today}T06:58:00+08:00`, '--waiting-rooms', rooms]
  })
}

/** The real program in the morning, when sessions run. */
export function startInTheMorning() {
  const today = new Date(Date.now() + 8 * 3600e3).toISOString().slice(0, 10)
  return startXinglin(() => ['--clock', `${today}T08:40:00+08:00`])
}

/** The stand-in for states. */
export async function startMock() {
  const folder = mkdtempSync(join(tmpdir(), 'xinglin-mock-'))
  const [main, cashier] = await freePorts(2)
  const base = `http://127.0.0.1:${main}`
  const program = await run(process.execPath, [here('./mock/server.mjs'), '--port', String(main), '--cashier', String(cashier)], { ready: `${base}/m/`, log: join(folder, 'log'), seconds: 15 })
  return {
    base,
    stop: async () => {
      await program.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The stand-in for the console. */
export async function startStaffMock() {
  const folder = mkdtempSync(join(tmpdir(), 'xinglin-staff-mock-'))
  const [main] = await freePorts(1)
  const base = `http://127.0.0.1:${main}`
  const program = await run(process.execPath, [here('./mock/staff.mjs'), '--port', String(main)], { ready: `${base}/console/`, log: join(folder, 'log'), seconds: 15 })
  return {
    base,
    stop: async () => {
      await program.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** For a server that somebody else runs. */
export async function useServer(base) {
  await sameBuild(base)
  return { base, stop: async () => {}, readyMs: 0 }
}

import '@xinglin/ui/tokens.css'
import './wall.css'
import { follow, type Board } from '@xinglin/api'
import { Chime } from './chime'
import { callId, screenOf, type Knowledge } from './state'
import { takeToken } from './token'
import { h, headPart, icon, nowPart, Part, plainPart, roomsPart, type Clock } from './view'
import { wordsOf, type Lang } from './words'

const lang: Lang = new URLSearchParams(location.search).get('lang') === 'en' ? 'en' : 'zh'
const t = wordsOf(lang)
document.documentElement.lang = lang === 'en' ? 'en' : 'zh-CN'
document.title = t('title')

const token = takeToken(location, history, localStorage)
const k: Knowledge = { token: token !== '', unknown: false, board: null, heardAt: 0, offset: 0, live: 'connecting', lostSince: 0 }

const format = (options: Intl.DateTimeFormatOptions) => {
  const f = new Intl.DateTimeFormat('en-GB', { ...options, timeZone: 'Asia/Shanghai', hour12: false })
  return (at: number | string) => f.format(new Date(at))
}
const clock: Clock = { minutes: format({ hour: '2-digit', minute: '2-digit' }), seconds: format({ hour: '2-digit', minute: '2-digit', second: '2-digit' }) }

const head = new Part(h('div', { class: 'name' }))
const time = new Part(h('p', { class: 'clock' }))
const now = new Part(h('section', { class: 'now', 'aria-live': 'assertive' }))
const rooms = new Part(h('section', { class: 'rooms', 'aria-label': t('room') }))
const plain = new Part(h('section', { class: 'plain', role: 'status' }))
const lost = new Part(h('div', { class: 'lost', role: 'status' }))
const missed = new Part(h('p', { class: 'missed' }))
const updated = new Part(h('p', { class: 'upd' }))
const sound = h('button', { type: 'button', class: 'sound' })
const logo = h('img', { class: 'logo', src: '/wall/icon.svg', alt: '' })
const main = h('main', {})
document.querySelector('#wall')?.append(h('header', {}, logo, head.element, time.element), lost.element, main, h('footer', {}, missed.element, h('p', { class: 'advice' }, t('missedText')), h('p', { class: 'advice' }, t('sos')), sound, updated.element))

const chime = new Chime()
const showSound = () => sound.replaceChildren(icon('sound'), t(chime.on ? 'soundOff' : 'soundOn'))
sound.addEventListener('click', () => void chime.enable().then(showSound))
showSound()
void chime.enable().then(showSound, showSound)

let called: string | undefined
const tall = matchMedia('(orientation: portrait)')

function draw(): void {
  const at = Date.now()
  const s = screenOf(k, at)
  const serverNow = at + k.offset
  document.body.dataset.screen = s.kind
  head.show([k.board?.name, k.board?.campus_name], () => headPart(k.board, t))
  // A clock that nobody set is worse than none.
  time.show(k.board ? clock.minutes(serverNow) : '', () => (k.board ? [clock.minutes(serverNow)] : []))
  if (s.kind === 'board') {
    const room = s.now?.room ?? ''
    now.show([s.now, s.before], () => nowPart(s, t))
    const perPage = tall.matches ? 9 : 6
    rooms.show([s.rooms, room, s.rooms.length > perPage ? Math.floor(at / 10_000) : 0, Math.floor(serverNow / 60_000), perPage], () => roomsPart(s.rooms, perPage, room, t, clock, at))
    if (main.firstChild !== now.element) main.replaceChildren(now.element, rooms.element)
    const id = callId(s.now)
    if (called !== undefined && id && id !== called) chime.ring()
    called = id
  } else {
    plain.show(s, () => plainPart(s, t, clock))
    if (main.firstChild !== plain.element) main.replaceChildren(plain.element)
    called ??= ''
  }
  const broken = (s.kind === 'board' || s.kind === 'empty') && s.lost
  lost.show(broken ? k.heardAt : 0, () => (broken ? [icon('warn'), t('lost', { at: clock.seconds(k.heardAt + k.offset) })] : []))
  document.body.dataset.lost = String(broken)
  const list = s.kind === 'board' ? s.missed : []
  missed.show([list, s.kind], () => (s.kind === 'board' ? (list.length ? [icon('warn'), `${t('missed')} `, ...list.map((n) => h('b', {}, n))] : [t('noMissed')]) : []))
  const shown = (s.kind === 'board' || s.kind === 'empty') && !s.lost
  updated.show(shown ? Math.floor(k.heardAt / 1000) : 0, () => (shown ? [t('updated', { at: clock.seconds(k.heardAt + k.offset) })] : []))
}

function take(board: Board): void {
  k.board = board
  k.heardAt = Date.now()
  const server = Date.parse(board.server_time)
  if (!Number.isNaN(server)) k.offset = server - k.heardAt
}

if (token)
  follow({
    url: '/api/v1/wall/events',
    silenceMs: 25_000, // the server's heartbeat is 10 s
    fetch: async (url, init) => {
      const headers = new Headers(init?.headers)
      headers.set('Authorization', `Display ${token}`)
      const answer = await fetch(url, { ...init, headers, credentials: 'omit' })
      k.unknown = answer.status === 401 || answer.status === 403
      return answer
    },
    onEvent: (e) => {
      if (e.event !== 'board') return
      take(JSON.parse(e.data) as Board)
      draw()
    },
    onState: (s) => {
      k.live = s.status
      k.lostSince = s.lostSince
      // A heartbeat says that nothing has changed: what is shown is true until now.
      if (s.status === 'live' && k.board) k.heardAt = Math.max(k.heardAt, s.heardAt)
      draw()
    },
  })
draw()
setInterval(draw, 1_000)

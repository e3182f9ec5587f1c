import type { Board, BoardRoom } from '@xinglin/api'
import { callId, pageOf, type Screen } from './state'
import type { Words } from './words'

type Child = Node | string | null | undefined | false

/** An element; text goes in as text, never as markup. */
export function h(tag: string, attributes: Record<string, string | undefined> = {}, ...children: Child[]): HTMLElement {
  const e = document.createElement(tag)
  for (const [k, v] of Object.entries(attributes)) if (v !== undefined) e.setAttribute(k, v)
  for (const c of children) if (c) e.append(c)
  return e
}

const shapes = {
  sound: 'M4 9.5h3.5L12 5.5v13l-4.5-4H4zM15.5 9a4 4 0 0 1 0 6M18 6.5a7.5 7.5 0 0 1 0 11',
  warn: 'M12 3.5L22 20.5H2zM12 10v5M12 17.7v.1',
  clock: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5.5l3.5 2',
} as const

export function icon(name: keyof typeof shapes): SVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('class', 'i')
  svg.setAttribute('viewBox', '0 0 24 24')
  svg.setAttribute('aria-hidden', 'true')
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
  path.setAttribute('d', shapes[name])
  svg.append(path)
  return svg
}

/** A part of the screen that is built anew only when what it shows has changed: a reader is not told the same twice. */
export class Part {
  private shown: string | undefined
  constructor(readonly element: HTMLElement) {}
  show(what: unknown, build: () => Child[]): void {
    const text = JSON.stringify(what)
    if (text === this.shown) return
    this.shown = text
    this.element.replaceChildren(...build().filter((c): c is Node | string => Boolean(c)))
  }
}

export interface Clock {
  /** HH:MM and HH:MM:SS of an instant, in the hospital's zone. */
  minutes(at: number | string): string
  seconds(at: number | string): string
}

/** The numbers called now and before. */
export function nowPart(s: Extract<Screen, { kind: 'board' | 'empty' }>, t: Words): Child[] {
  const n = s.now
  return [
    h('h2', { class: 'call' }, icon('sound'), n ? t('calling') : t('nobody')),
    n ? h('p', { class: 'no', 'data-long': n.number_text.length > 4 ? '' : undefined, 'data-call': callId(n) }, n.number_text) : h('p', { class: 'quiet' }, t('nobodyText')),
    n && h('p', { class: 'go' }, `${t('goTo')} `, h('em', {}, n.room)),
    n && h('p', { class: 'who' }, [n.name_masked, n.practitioner_name && t('doctor', { name: n.practitioner_name }), n.calls > 1 ? t('again', { n: n.calls }) : ''].filter(Boolean).join(' · ')),
    s.before.length > 0 && h('p', { class: 'before' }, `${t('before')} `, ...s.before.map((c) => h('span', {}, `${c.number_text} ${c.room}`))),
  ]
}

function stateWords(r: BoardRoom, t: Words, c: Clock, now: number): string {
  if (r.state === 'running') return r.calling ? '' : t('idle')
  if (r.state === 'paused') return r.paused_until && Date.parse(r.paused_until) > now ? t('paused', { at: c.minutes(r.paused_until) }) : t('pausedOpen')
  return t(r.state)
}

/** One line for each room. */
export function roomsPart(rooms: BoardRoom[], perPage: number, calledRoom: string, t: Words, c: Clock, now: number): Child[] {
  const shown = pageOf(rooms, perPage, now)
  const line = (r: BoardRoom) => {
    const words = stateWords(r, t, c, now)
    return h(
      'tr',
      { class: calledRoom === r.room && r.calling ? 'is-call' : undefined, 'data-state': r.state },
      h('th', { scope: 'row' }, h('b', { class: 'room' }, r.room), h('span', { class: 'sub' }, [r.practitioner_name, r.department_name].filter(Boolean).join(' · '))),
      h('td', { class: 'cur' }, r.calling ? h('b', {}, r.calling) : null, words ? h('span', { class: 'st' }, r.state === 'paused' ? icon('clock') : null, words) : null),
      h('td', { class: 'nx' }, ...(r.next ?? []).slice(0, 3).map((n) => h('span', {}, n))),
      h('td', { class: 'cnt' }, t('people', { n: r.waiting })),
    )
  }
  return [
    h('table', {}, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, t('room')), h('th', { scope: 'col' }, t('current')), h('th', { scope: 'col' }, t('next')), h('th', { scope: 'col' }, t('waitingHead')))), h('tbody', {}, ...shown.rooms.map(line))),
    shown.pages > 1 && h('p', { class: 'pages' }, t('page', { n: shown.page, of: shown.pages })),
  ]
}

/** A screen that has no board to show: why, and what to do. */
export function plainPart(s: Screen, t: Words, c: Clock): Child[] {
  switch (s.kind) {
    case 'none':
    case 'unknown':
      return [icon('warn'), h('h2', {}, t(s.kind)), h('p', {}, t(`${s.kind}Text`))]
    case 'old':
      return [icon('warn'), h('h2', {}, t('old')), h('p', {}, t('oldText', { at: c.seconds(s.heardAt), n: s.minutes }))]
    case 'empty':
      return [icon('clock'), h('h2', {}, t('empty')), h('p', {}, t('emptyText'))]
    default:
      return [icon('clock'), h('h2', {}, t(s.kind === 'lostFirst' ? 'lostFirst' : 'connecting'))]
  }
}

export function headPart(board: Board | null, t: Words): Child[] {
  return [h('h1', {}, board?.name || t('title')), board?.campus_name ? h('span', { class: 'sub' }, board.campus_name) : null]
}

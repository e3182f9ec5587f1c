import type { Appointment, Campus, Department, Organization, Page } from '@xinglin/api'
import { dayOf } from '@xinglin/ui'
import { keptAt } from './keptAt'
import { queryClient } from './query'

// What this device keeps to be of use without a network: the coming tickets, without people's names and without what leads to them, and
// the hospital's public lists. Cleared at logout and when the session ends.
const database = 'xinglin'
const table = 'kept'

interface Entry<T> {
  at: number
  value: T
}

function open(): Promise<IDBDatabase | null> {
  return new Promise((resolve) => {
    if (typeof indexedDB === 'undefined') return resolve(null)
    const request = indexedDB.open(database, 1)
    request.onupgradeneeded = () => request.result.createObjectStore(table)
    request.onsuccess = () => resolve(request.result)
    request.onerror = request.onblocked = () => resolve(null) // a browser that keeps nothing: without a network it shows nothing
  })
}

async function act<T>(mode: IDBTransactionMode, run: (store: IDBObjectStore) => IDBRequest<T>): Promise<T | undefined> {
  const db = await open()
  if (!db) return undefined
  return new Promise((resolve) => {
    const tx = db.transaction(table, mode)
    const request = run(tx.objectStore(table))
    const end = (value?: T) => {
      db.close()
      resolve(value)
    }
    tx.oncomplete = () => end(request.result)
    tx.onerror = tx.onabort = () => end()
  })
}

const read = <T>(key: string) => act('readonly', (s) => s.get(key) as IDBRequest<Entry<T> | undefined>)
const write = (key: string, value: unknown) => act('readwrite', (s) => s.put({ at: Date.now(), value } satisfies Entry<unknown>, key))

const live = ['pending', 'booked', 'arrived']

/** A ticket as it is kept: no person, no payment, nothing to act on. */
export function toKept(a: Appointment): Appointment {
  const out: Appointment = { ...a, patient_id: '', patient_name_masked: '', cancellable: false, history: [] }
  for (const k of ['cancel_before', 'payment_id', 'payment_state', 'hold_expires_at'] as const) delete out[k]
  return out
}

let writing: Promise<unknown> = Promise.resolve()
/** One after the other, so that two pages of answers do not lose each other's tickets. */
function change(run: () => Promise<unknown>): Promise<unknown> {
  return (writing = writing.then(run, run))
}

/** The coming tickets as the server just told them. */
export const keepTickets = (list: Appointment[]) => change(() => write('tickets', list.filter((a) => live.includes(a.state)).slice(0, 50).map(toKept)))

/** One ticket that was just read: kept while it is to come, dropped when it is not. */
export const keepTicket = (a: Appointment) =>
  change(async () => {
    const list = ((await read<Appointment[]>('tickets'))?.value ?? []).filter((x) => x.id !== a.id)
    await write('tickets', live.includes(a.state) ? [...list, toKept(a)].slice(-50) : list)
  })

/** Forgets the tickets; the public lists may stay. */
export const forgetTickets = () =>
  change(async () => {
    keptAt.value = 0
    await act('readwrite', (s) => s.delete('tickets'))
  })

const lists = ['departments', 'campuses', 'organization'] as const

/** The language of the person, for what the worker shows while no page is open. */
export const keepLanguage = (lang: string) => change(() => write('lang', lang))

/** Watches what is read and keeps what is worth keeping. Returns the end of it. */
export function keepAll(): () => void {
  const take = (key: readonly unknown[], data: unknown) => {
    const [name, what] = key as string[]
    if (name === 'appointments') keptAt.value = 0
    if (name === 'appointments' && what === 'coming') void keepTickets(data as Appointment[])
    else if (name === 'appointment') void keepTicket(data as Appointment)
    else if (lists.some((l) => l === name) && !what) void change(() => write(name!, data))
  }
  // What was read before this was here; a copy of the device is no news.
  if (keptAt.value === 0) for (const q of queryClient.getQueryCache().getAll()) if (q.state.status === 'success') take(q.queryKey, q.state.data)
  return queryClient.getQueryCache().subscribe((e) => {
    if (e.type === 'updated' && e.action.type === 'success' && !e.action.manual) take(e.query.queryKey, e.action.data)
  })
}

/** Puts what was kept where the screens look, unless something newer is there already. `own`: the tickets too. */
export async function showKept(own: boolean): Promise<void> {
  for (const name of lists) {
    const key = name === 'departments' ? [name, ''] : [name]
    const kept = await read<Page<Department | Campus> | Organization>(name)
    if (kept && !queryClient.getQueryData(key)) queryClient.setQueryData(key, kept.value, { updatedAt: kept.at })
  }
  const kept = own ? await read<Appointment[]>('tickets') : undefined
  if (!kept || queryClient.getQueryData(['appointments', 'coming'])) return
  const today = dayOf(Date.now())
  const tickets = kept.value.filter((a) => a.date >= today).sort((a, b) => a.starts_at.localeCompare(b.starts_at))
  const updatedAt = 1 // a copy is never fresh, however young: the network's own is asked for as soon as there is one
  queryClient.setQueryData(['appointments', 'coming'], tickets, { updatedAt })
  queryClient.setQueryData(['appointments', 'list', ''], { pages: [{ items: tickets }], pageParams: [''] }, { updatedAt })
  for (const a of tickets) queryClient.setQueryData(['appointment', a.id], a, { updatedAt })
  keptAt.value = kept.at
}

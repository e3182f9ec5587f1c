import { api } from './api'

/** Whether this device can be told of a notice while the application is closed. */
export type PushState = 'unsupported' | 'denied' | 'unreachable' | 'off' | 'on'

const able = () => 'serviceWorker' in navigator && 'PushManager' in globalThis && 'Notification' in globalThis

/** The worker that is there now; without one (a development server) nothing can be pushed. */
const registration = () => navigator.serviceWorker.getRegistration('/m/')

export async function pushState(): Promise<PushState> {
  if (!able()) return 'unsupported'
  const worker = await registration()
  if (!worker) return 'unsupported'
  if (Notification.permission === 'denied') return 'denied'
  return (await worker.pushManager.getSubscription()) ? 'on' : 'off'
}

/** "Chrome · Android": enough to know one's own device again. */
export function deviceName(agent: string): string {
  const browser = /MicroMessenger/.test(agent) ? 'WeChat' : /Edg\//.test(agent) ? 'Edge' : /Firefox\//.test(agent) ? 'Firefox' : /Chrome\//.test(agent) ? 'Chrome' : /Safari\//.test(agent) ? 'Safari' : ''
  const system = /HarmonyOS/.test(agent) ? 'HarmonyOS' : /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Windows/.test(agent) ? 'Windows' : /Mac OS/.test(agent) ? 'macOS' : /Linux/.test(agent) ? 'Linux' : ''
  return [browser, system].filter(Boolean).join(' · ')
}

function bytes(base64url: string): Uint8Array<ArrayBuffer> {
  const raw = atob(base64url.replace(/-/g, '+').replace(/_/g, '/'))
  return Uint8Array.from(raw, (c) => c.charCodeAt(0))
}

/** Asks the person, subscribes at the maker's service and tells the server. Says how it stands afterwards. */
export async function turnPushOn(): Promise<PushState> {
  if ((await Notification.requestPermission()) !== 'granted') return Notification.permission === 'denied' ? 'denied' : 'off'
  const worker = await registration()
  if (!worker) return 'unsupported'
  const key = bytes(await api.pushKey())
  let subscription
  try {
    subscription = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key })
  } catch {
    return 'unreachable' // the maker's service is not to be reached from here, as is common
  }
  const { endpoint, keys } = subscription.toJSON()
  try {
    await api.addPushDevice({ endpoint: endpoint ?? '', p256dh: keys?.p256dh ?? '', auth: keys?.auth ?? '', label: deviceName(navigator.userAgent) })
  } catch (e) {
    await subscription.unsubscribe() // the server does not know it: it would never be used
    throw e
  }
  return 'on'
}

/** Ends this device's subscription at the maker's service; the server drops its half when it next meets the closed door. */
export async function turnPushOff(): Promise<void> {
  if (!able()) return
  await (await (await registration())?.pushManager.getSubscription())?.unsubscribe()
}

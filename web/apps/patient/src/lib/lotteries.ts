import { forget, recall, remember } from '@xinglin/ui'

/** A lottery that somebody entered on this device, to find the way back to its result. It names no person. */
export interface Entered {
  id: string
  doctor: string
  day: string
}

const key = 'xinglin.lotteries'

/** Those of sessions that are still to come. */
export function enteredLotteries(today: string): Entered[] {
  try {
    const list = JSON.parse(recall(key) ?? '[]') as Entered[]
    return list.filter((e) => e.day >= today)
  } catch {
    return []
  }
}

export function rememberLottery(e: Entered): void {
  remember(key, JSON.stringify([e, ...enteredLotteries('').filter((x) => x.id !== e.id)].slice(0, 10)))
}

export const forgetLotteries = () => forget(key)

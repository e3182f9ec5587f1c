import { ref } from 'vue'
import type { Appointment } from '@xinglin/api'

/** When the shown copy was kept, milliseconds; 0 while everything shown comes from the server. */
export const keptAt = ref(0)

/** A copy that was read from the device; the server's own always says whose it is. */
export const isKept = (a: Pick<Appointment, 'patient_id'>): boolean => a.patient_id === ''

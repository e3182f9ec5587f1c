import { defineStore } from 'pinia'
import { ref, watch } from 'vue'
import { recall, remember } from '@xinglin/ui'

const key = 'xinglin.console.campus'

/** The campus that lists begin with; empty for all. Remembered on this device. */
export const useCampus = defineStore('campus', () => {
  const id = ref(recall(key) ?? '')
  watch(id, (to) => remember(key, to))
  return { id }
})

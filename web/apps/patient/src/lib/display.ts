import { defineStore } from 'pinia'
import { ref } from 'vue'
import { applyScale, savedScale, type Scale } from '@xinglin/ui'

export const useDisplay = defineStore('display', () => {
  const scale = ref<Scale>(savedScale())
  function set(to: Scale) {
    scale.value = to
    applyScale(to)
  }
  const toggle = () => set(scale.value === '100' ? '131' : '100')
  return { scale, set, toggle }
})

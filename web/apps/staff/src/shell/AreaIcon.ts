import { XIcon, type IconName } from '@xinglin/ui'
import { defineComponent, h, type PropType } from 'vue'

// Icons of the console alone: the shared set is part of the patients' first load.
const own = {
  money: '<circle cx="12" cy="12" r="9"/><path d="M8.5 7L12 11.5 15.5 7M12 11.5v6M9 12.5h6M9 15h6"/>',
  upload: '<path d="M12 15V4M7.5 8.5L12 4l4.5 4.5M4.5 15v4.5h15V15"/>',
  server: '<rect x="4" y="4" width="16" height="7" rx="1.5"/><rect x="4" y="13" width="16" height="7" rx="1.5"/><path d="M7.5 7.5h.1M7.5 16.5h.1M11 7.5h5M11 16.5h5"/>',
  house: '<path d="M4 20V8.5L12 4l8 4.5V20M2.5 20h19M12 8.5v4M10 10.5h4M9.5 20v-4.5h5V20"/>',
} as const

export type AreaIconName = IconName | keyof typeof own

/** The icon of an area; its name stands beside it. */
export const AreaIcon = defineComponent({
  name: 'AreaIcon',
  props: { name: { type: String as PropType<AreaIconName>, required: true } },
  setup: (props) => () =>
    props.name in own
      ? h('svg', { class: 'i', viewBox: '0 0 24 24', 'aria-hidden': 'true', innerHTML: own[props.name as keyof typeof own] })
      : h(XIcon, { name: props.name as IconName }),
})

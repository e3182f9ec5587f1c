import { defineComponent, h, type PropType } from 'vue'
import { bloom, icons, logo, type IconName } from './icons'

/** An icon of the set; decorative, so a word always stands beside it. */
export const XIcon = defineComponent({
  name: 'XIcon',
  props: { name: { type: String as PropType<IconName>, required: true } },
  setup: (props) => () => h('svg', { class: 'i', viewBox: '0 0 24 24', 'aria-hidden': 'true', innerHTML: icons[props.name] }),
})

/** The sign of the house. */
export const XLogo = defineComponent({
  name: 'XLogo',
  setup: () => () => h('svg', { class: 'logo', viewBox: '0 0 32 32', 'aria-hidden': 'true', innerHTML: logo }),
})

/** The flower behind the ticket. */
export const XBloom = defineComponent({
  name: 'XBloom',
  setup: () => () => h('svg', { class: 'bloom', viewBox: '0 0 32 32', 'aria-hidden': 'true', innerHTML: bloom }),
})

import type { IconName } from '@xinglin/ui'

// A department's icon goes by a word in its name; the general sign is the pulse line.
const byWord: [string, IconName][] = [
  ['心', 'heart'], // heart
  ['内分泌', 'drop'], // endocrine
  ['儿', 'child'], // children
  ['呼吸', 'lung'], // breathing
  ['骨', 'bone'], // bone
  ['眼', 'eye'], // eye
  ['口腔', 'tooth'], // mouth
  ['检验', 'lab'], // laboratory
  ['神经', 'brain'], // nerves
  ['消化', 'stomach'], // digestion
  ['全科', 'steth'], // general practice
  ['外科', 'scalpel'], // surgery
]

export function departmentIcon(name: string): IconName {
  return byWord.find(([word]) => name.includes(word))?.[1] ?? 'pulse'
}

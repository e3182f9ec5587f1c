// What every screen must satisfy, measured in the page.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Runs in the page: texts under the limit, targets under the limit, sideways scroll. */
function measure({ minText, minTarget, minWide }) {
  const shown = (e) => {
    const s = getComputedStyle(e)
    const r = e.getBoundingClientRect()
    return s.visibility !== 'hidden' && s.display !== 'none' && r.width > 1 && r.height > 1 && !e.closest('.vh, .skip')
  }
  const small = []
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let n = walker.nextNode(); n; n = walker.nextNode()) {
    const e = n.parentElement
    if (!n.textContent.trim() || !e || !shown(e) || e.closest('[aria-hidden=true]:not(.badge), script, style')) continue
    const px = parseFloat(getComputedStyle(e).fontSize)
    if (px < minText - 0.01) small.push(`${px}px "${n.textContent.trim().slice(0, 20)}"`)
  }
  const tight = []
  for (const e of document.querySelectorAll('a[href], button, input, select, textarea, [role=button]')) {
    const box = e.matches('input[type=checkbox], input[type=radio]') ? (e.closest('label') ?? e) : e
    if (!shown(box)) continue
    const r = box.getBoundingClientRect()
    if (r.height < minTarget - 0.5 || r.width < minWide - 0.5) tight.push(`${Math.round(r.width)}x${Math.round(r.height)} ${e.tagName} "${(e.innerText || e.getAttribute('aria-label') || '').trim().slice(0, 20)}"`)
  }
  const filled = [...document.querySelectorAll('.btn--primary, .btn--onbrand')].filter(shown).length
  const wide = document.documentElement.scrollWidth - innerWidth
  // A page of the patient app has the tabs, or the one act that stands in for them; its heading stays clear of the tools beside it.
  const stuck = !!document.querySelector('.phone > .appbar') && ![...document.querySelectorAll('.tabbar, .actionbar')].some(shown)
  const heading = document.querySelector('.appbar h1')
  const cut = !!heading && !heading.querySelector('.house') && heading.scrollWidth > heading.clientWidth + 1
  return { small, tight, filled, wide, stuck, cut }
}

/** Throws with all that is wrong on the screen. */
export async function checkScreen(page, name, { large, wall, dense }) {
  const problems = []
  const side = dense ? 32 : 44
  const limits = large ? { minText: 18, minTarget: 60, minWide: 60 } : { minText: wall ? 18 : 14, minTarget: side, minWide: side }
  const m = await page.evaluate(measure, limits)
  if (m.small.length) problems.push(`small text: ${[...new Set(m.small)].slice(0, 5).join(', ')}`)
  if (m.tight.length) problems.push(`small targets: ${[...new Set(m.tight)].slice(0, 6).join(', ')}`)
  if (m.filled > 1 && !dense) problems.push(`${m.filled} filled buttons`)
  if (m.wide > 1) problems.push(`sideways scroll by ${m.wide}px`)
  if (m.stuck) problems.push('neither tabs nor an act')
  if (m.cut) problems.push('the heading runs into what stands beside it')
  // A colour on its way to another one is read by nobody: transitions end first (they are short; what turns for ever is none).
  await page.evaluate(() => Promise.all(document.getAnimations().filter((a) => a instanceof CSSTransition).map((a) => a.finished.catch(() => {}))))
  await page.evaluate(axeSource)
  const axe = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  for (const v of axe.violations) problems.push(`axe ${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.target.join(' ')).join(' | ')}`)
  return problems.map((p) => `${name}: ${p}`)
}

import { describe, expect, it, vi } from 'vitest'
import { effectScope } from 'vue'
import { readReport } from '../src/areas/imports/report'
import { birthOf, readSearch } from '../src/areas/desk/search'
import { weeklyDays } from '../src/areas/schedule/look'
import { fenOf, monday, yuanOf } from '../src/lib/day'
import { activeKeys, useKeys } from '../src/lib/keys'
import { errorWords, qrMatrix } from '../src/lib/qr'

describe('money as typed', () => {
  it.each([['0', 0], ['12', 1200], ['12.5', 1250], ['12.50', 1250], ['0.07', 7], [' 50 ', 5000], ['9999999.99', 999999999]])('%s is %i fen', (text, fen) => expect(fenOf(text)).toBe(fen))
  it.each(['', '-1', '1.234', '1,5', 'abc', '.5', '12.', '1e3', '123456789'])('%s is no amount', (text) => expect(fenOf(text)).toBeNaN())
  it('comes back as it was', () => {
    for (const fen of [0, 5, 70, 1999, 100000]) expect(fenOf(yuanOf(fen))).toBe(fen)
  })
})

describe('weeks', () => {
  it.each([['2026-11-30', '2026-11-30'], ['2026-12-06', '2026-11-30'], ['2026-12-07', '2026-12-07'], ['2027-01-01', '2026-12-28']])('%s is in the week of %s', (day, first) => expect(monday(day)).toBe(first))
  it('knows what a weekly rule is, and what is another', () => {
    expect(weeklyDays('FREQ=WEEKLY;BYDAY=MO,WE')).toEqual(['MO', 'WE'])
    expect(weeklyDays('FREQ=WEEKLY;INTERVAL=1;BYDAY=SU')).toEqual(['SU'])
    for (const other of ['FREQ=WEEKLY;INTERVAL=2;BYDAY=MO', 'FREQ=DAILY', 'FREQ=MONTHLY;BYDAY=1MO', 'FREQ=WEEKLY;BYDAY=1MO', 'FREQ=WEEKLY', 'FREQ=WEEKLY;BYDAY=MO;COUNT=3', '']) expect([other, weeklyDays(other)]).toEqual([other, null])
  })
})

describe('the search of the window', () => {
  it('tells a phone, a document and a name', () => {
    expect(readSearch('138 0000 0001', '')).toEqual({ by: 'phone', search: { phone: '13800000001' } })
    expect(readSearch('11010119850307123x', '')?.by).toBe('document')
    expect(readSearch('E12345678', '')).toEqual({ by: 'document', search: { document: 'E12345678' } })
    expect(readSearch('张明远', '19850307')).toEqual({ by: 'name', search: { name: '张明远', birth: '1985-03-07' } })
    expect(readSearch('Anna Lee', '')).toEqual({ by: 'name', search: { name: 'Anna Lee' } })
    expect(readSearch('  ', '')).toBeNull()
  })
  it.each([['19850307', '1985-03-07'], ['1985-3-7', '1985-03-07'], ['1985.03.07', '1985-03-07'], ['19850231', ''], ['1985', ''], ['', '']])('reads the birth date %s', (text, day) => expect(birthOf(text)).toBe(day))
})

describe('reports of imports', () => {
  it('of FHIR are counts by type, and what was refused with its place', () => {
    const r = readReport({ fhir: { resources: 20, types: [{ type: 'Patient', taken: 12, updated: 0, refused: 1 }], skipped: [{ type: 'Observation', reason: 'not_used', count: 7 }], refused: [{ file: 'a.json', path: 'entry[1]', code: 'x.y', reason_zh: '日期不对', reason_en: 'bad date' }], refused_count: 9 } }, 'en')
    expect(r.counts).toEqual([{ set: '', key: 'resources', n: 20 }, { set: 'taken', key: 'Patient', n: 12 }, { set: 'refused', key: 'Patient', n: 1 }, { set: 'skipped', key: 'Observation', n: 7 }])
    expect(r.faults).toEqual([{ file: 'a.json', path: 'entry[1]', code: 'x.y', reason: 'bad date' }])
    expect(r.refused).toBe(9)
  })
  it('of a rota are changes, and errors by sheet and line', () => {
    const r = readReport({ rota: { rows: 2000, rules: { new: 5, changed: 0, same: 1 }, errors: [{ sheet: '12 月', line: 17, column: 'doctor', reason_zh: '没有这位医生', reason_en: 'no such doctor' }], error_count: 1 } }, 'zh')
    expect(r.counts).toEqual([{ set: '', key: 'rows', n: 2000 }, { set: 'rules', key: 'new', n: 5 }, { set: 'rules', key: 'same', n: 1 }])
    expect(r.faults).toEqual([{ file: '12 月', row: 17, path: 'doctor', reason: '没有这位医生' }])
  })
  it('of a rota that stops sessions name them, and a refusal for them is no fault of the file', () => {
    const stop = { date: '2026-12-07', session: 'morning', department_name: '心血管内科', practitioner_name: '林知夏', visits: 3 }
    const problem = { code: 'scheduling.import_stops', title: '要同意', title_en: 'consent', details: [{ path: '2026-12-07 morning', code: 'scheduling.import_stops', message: '3' }] }
    const r = readReport({ problem, rota: { rows: 1, stops: [stop], stop_count: 60, stop_visits: 5 } }, 'zh')
    expect([r.stops, r.stopCount, r.stopVisits, r.unconsented, r.faults]).toEqual([[stop], 60, 5, true, []])
    expect(readReport({ problem, rota: { rows: 1 } }, 'zh').faults).toHaveLength(2)
    expect(readReport({ rota: { rows: 1, stops: [stop], stop_count: 1, stop_visits: 3 } }, 'zh').unconsented).toBe(false)
  })
  it('say what made an import fail, may be missing, and are never longer than 500 lines', () => {
    expect(readReport({ problem: { code: 'a.b', title: '坏了', title_en: 'broken' } }, 'zh').faults).toEqual([{ code: 'a.b', reason: '坏了' }])
    expect(readReport(undefined, 'zh')).toEqual({ counts: [], faults: [], refused: 0, stops: [], stopCount: 0, stopVisits: 0, unconsented: false })
    const long = readReport({ icd10: { refused: Array.from({ length: 9000 }, (_, line) => ({ line: line + 1, reason_zh: 'x' })) } }, 'zh')
    expect([long.faults.length, long.refused]).toEqual([500, 9000])
  })
})

describe('keys', () => {
  it('act on the open screen, never while somebody types, and end with it', () => {
    const run = vi.fn()
    const scope = effectScope()
    let on = true
    scope.run(() => useKeys([{ key: 'n', label: '', run, enabled: () => on }]))
    const press = (target: EventTarget, more = {}) => target.dispatchEvent(new KeyboardEvent('keydown', { key: 'N', bubbles: true, cancelable: true, ...more }))
    press(document.body)
    expect(run).toHaveBeenCalledTimes(1)
    press(document.body, { ctrlKey: true })
    press(document.body, { repeat: true })
    const input = document.body.appendChild(document.createElement('input'))
    press(input)
    on = false
    press(document.body)
    expect(run).toHaveBeenCalledTimes(1)
    on = true
    scope.stop()
    expect(activeKeys.some((k) => k.key === 'n')).toBe(false)
    press(document.body)
    expect(run).toHaveBeenCalledTimes(1)
    input.remove()
  })
})

describe('QR codes', () => {
  /** GF(256) of QR. */
  const times = (x: number, y: number) => {
    let z = 0
    for (let i = 7; i >= 0; i--) z = (z << 1) ^ ((z >>> 7) * 0x11d) ^ (((y >>> i) & 1) * x)
    return z
  }
  it('have words that any reader checks as right: every syndrome is zero', () => {
    const data = [0x40, 0xd2, 0x75, 0x47, 0x76, 0x17, 0x32, 0x06, 0x27, 0x26, 0x96, 0xc6, 0xc6, 0x96, 0x70, 0xec]
    // The worked example of the field's tutorials: version 1-M.
    expect(errorWords(data, 10)).toEqual([0xbc, 0x2a, 0x90, 0x13, 0x6b, 0xaf, 0xef, 0xfd, 0x4b, 0xe0])
    const word = [...data, ...errorWords(data, 10)]
    for (let i = 0, root = 1; i < 10; i++, root = times(root, 2)) expect(word.reduce((sum, w) => times(sum, root) ^ w, 0)).toBe(0)
  })
  it('have finders, timing and a size by their length', () => {
    for (const [text, side] of [['a', 21], ['x'.repeat(60), 33], ['https://hospital.example/wall/#' + 'k'.repeat(180), 57]] as const) {
      const m = qrMatrix(text)
      expect(m).toHaveLength(side)
      for (const [x, y] of [[0, 0], [side - 7, 0], [0, side - 7]] as const) {
        const ring = Array.from({ length: 7 }, (_, i) => [m[y]![x + i], m[y + 6]![x + i], m[y + i]![x], m[y + i]![x + 6], m[y + 3]![x + 3]]).flat()
        expect(ring.every(Boolean)).toBe(true)
        expect(m[y + 1]![x + 1]).toBe(false)
      }
      for (let i = 8; i < side - 8; i++) expect(m[6]![i]).toBe(i % 2 === 0)
    }
    expect(() => qrMatrix('x'.repeat(2000))).toThrow(RangeError)
  })
})

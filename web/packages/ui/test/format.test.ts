import { describe, expect, it } from 'vitest'
import * as f from '../src/format'

describe('money', () => {
  it.each([
    [0, '¥0.00'],
    [5, '¥0.05'],
    [2500, '¥25.00'],
    [123456789, '¥1,234,567.89'],
    [-1000, '−¥10.00'],
    [9007199254740991, '¥90,071,992,547,409.91'],
  ])('%i fen', (fen, text) => expect(f.money(fen)).toBe(text))
})

describe('dates in the hospital zone', () => {
  it('takes the day of Shanghai, not of UTC', () => {
    expect(f.dayOf('2026-11-22T16:30:00Z')).toBe('2026-11-23')
    expect(f.clock('2026-11-22T16:30:00Z')).toBe('00:30')
  })
  it('writes ranges with an en dash', () => expect(f.range('2026-11-23T01:30:00Z', '2026-11-23T02:00:00Z')).toBe('09:30–10:00'))
  it('names days in both languages', () => {
    expect(f.dateLong('2026-11-23', 'zh')).toBe('11月23日 周一')
    expect(f.dateLong('2026-11-23', 'en')).toBe('Mon 23 Nov')
    expect(f.month('2026-11-23', 'zh')).toBe('11 月')
    expect(f.month('2026-11-23', 'en')).toBe('November')
  })
  it('adds days over a leap day and a year', () => {
    expect(f.addDays('2028-02-28', 1)).toBe('2028-02-29')
    expect(f.addDays('2026-12-31', 1)).toBe('2027-01-01')
  })
  it('shows the year only when it is another one', () => {
    const now = Date.parse('2026-11-22T00:00:00Z')
    expect(f.instant('2026-11-23T01:30:00Z', 'zh', now)).toBe('11月23日 09:30')
    expect(f.instant('2027-01-02T01:30:00Z', 'zh', now)).toBe('2027年1月2日 09:30')
    expect(f.instant('2026-11-23T01:30:00Z', 'en', now)).toBe('23 Nov, 09:30')
  })
  it('counts down and stops at zero', () => {
    expect(f.countdown(272_000)).toBe('04:32')
    expect(f.countdown(3_872_000)).toBe('1:04:32')
    expect(f.countdown(-5)).toBe('00:00')
  })
  it('knows the age on the day before and on the birthday', () => {
    expect(f.ageOn('2008-11-23', '2026-11-22')).toBe(17)
    expect(f.ageOn('2008-11-23', '2026-11-23')).toBe(18)
  })
})

describe('resident id', () => {
  it.each([
    ['11010519491231002X', true],
    ['110105194912310021', false],
    ['11010519491331002X', false],
    ['1101051949123100', false],
  ])('%s', (id, ok) => expect(f.residentIdOk(id)).toBe(ok))
})

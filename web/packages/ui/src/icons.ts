// The icon set: 24 grid, 1.75 stroke, round caps, currentColor. Fixed text, never input.
export const icons = {
  home: '<path d="M4 11l8-7 8 7v8a1 1 0 0 1-1 1h-4v-6H9v6H5a1 1 0 0 1-1-1z"/>',
  cal: '<rect x="4" y="5" width="16" height="15" rx="2"/><path d="M4 10h16M8 3v4M16 3v4"/>',
  ticket: '<path d="M4 7h16v3.5a1.5 1.5 0 0 0 0 3V17H4v-3.5a1.5 1.5 0 0 0 0-3zM14 7v10"/>',
  pulse: '<path d="M3 12h4l2.5-6 4 12 2.5-6h5"/>',
  user: '<circle cx="12" cy="8" r="4"/><path d="M4.5 20c1-4 4-5.5 7.5-5.5s6.5 1.5 7.5 5.5"/>',
  users: '<circle cx="9" cy="8.5" r="3.5"/><path d="M2.5 19c.8-3.5 3.3-5 6.5-5s5.7 1.5 6.5 5M16 5.3a3.5 3.5 0 0 1 0 6.4M18 14.5c2 .6 3.1 2.2 3.5 4.5"/>',
  bell: '<path d="M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 21h4"/>',
  phone: '<path d="M6 3h3l1.5 5L8 9.5c1 3 3.5 5.5 6.5 6.5l1.5-2.5 5 1.5v3c0 1.5-1 2.5-2.5 2.5C10.5 20 4 13.5 3.5 5.5 3.5 4 4.5 3 6 3z"/>',
  search: '<circle cx="11" cy="11" r="6.5"/><path d="M16 16l4.5 4.5"/>',
  next: '<path d="M9 5l7 7-7 7"/>',
  back: '<path d="M15 5l-7 7 7 7"/>',
  check: '<path d="M5 12.5l4.5 4.5L19 7"/>',
  ok: '<circle cx="12" cy="12" r="9"/><path d="M8 12.3l2.8 2.8L16 9.5"/>',
  warn: '<path d="M12 3.5L22 20.5H2zM12 10v5M12 17.7v.1"/>',
  stop: '<path d="M8.3 3h7.4L21 8.3v7.4L15.7 21H8.3L3 15.7V8.3zM12 7.5v5.5M12 16.2v.1"/>',
  info: '<circle cx="12" cy="12" r="9"/><path d="M12 11v5.5M12 7.5v.1"/>',
  clock: '<circle cx="12" cy="12" r="9"/><path d="M12 7v5.5l3.5 2"/>',
  pin: '<path d="M12 21.5c-4.5-4.5-7-8-7-11.5a7 7 0 0 1 14 0c0 3.5-2.5 7-7 11.5z"/><circle cx="12" cy="10" r="2.5"/>',
  plus: '<path d="M12 5v14M5 12h14"/>',
  close: '<path d="M6 6l12 12M18 6L6 18"/>',
  type: '<path d="M2.5 18L7.5 6l5 12M4.2 14h6.6M13.5 18l3.5-8 3.5 8M14.7 15.5h4.6"/>',
  shield: '<path d="M12 3l8 3v5.5c0 5-3.5 8-8 9.5-4.5-1.5-8-4.5-8-9.5V6z"/><path d="M8.5 12l2.5 2.5 4.5-5"/>',
  lock: '<rect x="5" y="10.5" width="14" height="10" rx="2"/><path d="M8 10.5V8a4 4 0 0 1 8 0v2.5"/>',
  eye: '<path d="M2.5 12C5 7.5 8.3 5.5 12 5.5s7 2 9.5 6.5c-2.5 4.5-5.8 6.5-9.5 6.5S5 16.5 2.5 12z"/><circle cx="12" cy="12" r="3"/>',
  lab: '<path d="M9.5 3v6L4.5 18.5A1.7 1.7 0 0 0 6 21h12a1.7 1.7 0 0 0 1.5-2.5L14.5 9V3M8 3h8M7.5 15h9"/>',
  refresh: '<path d="M20 12a8 8 0 1 1-2.5-5.8M20 3v4.5h-4.5"/>',
  heart: '<path d="M12 20.5C6 16 3 12.8 3 9.2A4.7 4.7 0 0 1 12 7a4.7 4.7 0 0 1 9 2.2c0 3.6-3 6.8-9 11.3z"/>',
  drop: '<path d="M12 3c4 5 6.5 8.2 6.5 11.5a6.5 6.5 0 0 1-13 0C5.5 11.2 8 8 12 3zM9 15a3 3 0 0 0 3 3"/>',
  child: '<circle cx="12" cy="12" r="8.5"/><path d="M9 11h.1M15 11h.1M9 15c1.8 1.6 4.2 1.6 6 0M12 3.5c1.5.3 2 1.8 1 2.8"/>',
  bone: '<path d="M8.5 12.5l4-4a2.6 2.6 0 1 1 4.3-2.3 2.6 2.6 0 1 1 1 4.3l-7.3 7.3a2.6 2.6 0 1 1-4.3 2.3 2.6 2.6 0 1 1-1-4.3z"/>',
  tooth: '<path d="M8 4c-2.8 0-4 2.2-4 4.5 0 3 1.5 4.5 2 7.5.4 2.5 1 4.5 2.3 4.5 2 0 1.2-6 3.7-6s1.7 6 3.7 6c1.3 0 1.9-2 2.3-4.5.5-3 2-4.5 2-7.5C20 6.2 18.8 4 16 4c-1.8 0-2.5 1-4 1s-2.2-1-4-1z"/>',
  lung: '<path d="M12 3v8M12 11c-1 1.5-2 2-3 2.5M12 11c1 1.5 2 2 3 2.5M9 6.5C6 7 3.5 12.5 3.5 17c0 3.5 5.5 3 5.5-.5zM15 6.5c3 .5 5.5 6 5.5 10.5 0 3.5-5.5 3-5.5-.5z"/>',
  steth: '<path d="M5 3H4v6a5 5 0 0 0 10 0V3h-1M9 14v1.5a5 5 0 0 0 10 0V13"/><circle cx="19" cy="11" r="2"/>',
  brain: '<path d="M12 5a3 3 0 0 0-5.5 1A3.2 3.2 0 0 0 4.3 11a3.4 3.4 0 0 0 1.2 5.5A3.3 3.3 0 0 0 12 18zM12 5a3 3 0 0 1 5.5 1 3.2 3.2 0 0 1 2.2 5 3.4 3.4 0 0 1-1.2 5.5A3.3 3.3 0 0 1 12 18z"/>',
  stomach: '<path d="M8 3v4.5c0 2.5 2.6 2.6 5 1.6 3.6-1.6 7 .6 7 4.4 0 4.5-3.6 7-7.5 7-3 0-4.4-1.6-6-1.6-1.2 0-2 .8-2 2.1M12 3v2.5"/>',
  scalpel: '<path d="M3.5 20.5l8-8M11 12l7-8c2.4 2 2.6 5 .7 7.2L14.5 16z"/>',
  gear: '<circle cx="12" cy="12" r="3"/><path d="M12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M5.6 18.4l2.2-2.2M16.2 7.8l2.2-2.2"/>',
  grid: '<rect x="4" y="4" width="6.5" height="6.5" rx="1.5"/><rect x="13.5" y="4" width="6.5" height="6.5" rx="1.5"/><rect x="4" y="13.5" width="6.5" height="6.5" rx="1.5"/><rect x="13.5" y="13.5" width="6.5" height="6.5" rx="1.5"/>',
} as const

export type IconName = keyof typeof icons

export const logo =
  '<path fill="var(--leaf)" d="M17 19c6.5-2.2 12 .5 14 10.5-7.5 1.6-13-2-14-10.5z"/><g fill="var(--apricot)"><circle cx="15" cy="7.6" r="5.1"/><circle cx="21.3" cy="12.2" r="5.1"/><circle cx="18.9" cy="19.6" r="5.1"/><circle cx="11.1" cy="19.6" r="5.1"/><circle cx="8.7" cy="12.2" r="5.1"/><circle cx="15" cy="14.2" r="5.5"/></g><path d="M15 10.7v7M11.5 14.2h7" stroke="var(--logo-core)" stroke-width="2.3" stroke-linecap="round" fill="none"/>'
export const bloom =
  '<circle cx="15" cy="7.6" r="5.1"/><circle cx="21.3" cy="12.2" r="5.1"/><circle cx="18.9" cy="19.6" r="5.1"/><circle cx="11.1" cy="19.6" r="5.1"/><circle cx="8.7" cy="12.2" r="5.1"/><circle cx="15" cy="14.2" r="2.6"/>'

// The application without a network, and its notices. Pages come from the network and fall back to the kept shell; the files of the
// build are kept whole, so that every page opens and can say for itself what it lacks. Nothing under /api/, no other origin and not
// the waiting room, which is a page of its own, is ever touched. The build puts its name and files in.
const cacheName = 'xinglin-shell-__BUILD__'
const shell = __SHELL__

// A new build waits until the person takes it or the last page is closed: nothing changes under a form.
self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll(shell)))
})

self.addEventListener('message', (event) => {
  if (event.data === 'take over') event.waitUntil(self.skipWaiting())
  if (event.data === 'claim') event.waitUntil(self.clients.claim())
})

self.addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((n) => n.startsWith('xinglin-shell-') && n !== cacheName).map((n) => caches.delete(n))))
      .then(() => self.clients.claim()),
  )
})

self.addEventListener('fetch', (event) => {
  const request = event.request
  const url = new URL(request.url)
  if (request.method !== 'GET' || url.origin !== location.origin || !url.pathname.startsWith('/m/') || url.pathname === '/m/queue') return
  if (request.mode === 'navigate') {
    event.respondWith(fetch(request).catch(() => caches.match('/m/').then((page) => page || Response.error())))
  } else if (url.pathname.startsWith('/m/assets/')) {
    event.respondWith(
      caches.match(request).then(
        (kept) =>
          kept ||
          fetch(request).then((response) => {
            if (response.ok) {
              const copy = response.clone()
              event.waitUntil(caches.open(cacheName).then((cache) => cache.put(request, copy)))
            }
            return response
          }),
      ),
    )
  } else if (shell.includes(url.pathname)) {
    event.respondWith(fetch(request).catch(() => caches.match(request).then((kept) => kept || Response.error())))
  }
})

/** The language that the person chose, as the pages keep it; Chinese where nothing is known. */
const language = () =>
  new Promise((resolve) => {
    const open = indexedDB.open('xinglin', 1)
    open.onupgradeneeded = () => open.transaction.abort() // no page was here: its store is not ours to make
    open.onerror = () => resolve('zh')
    open.onsuccess = () => {
      const kept = open.result.transaction('kept').objectStore('kept').get('lang')
      kept.onsuccess = () => {
        open.result.close()
        resolve(kept.result?.value === 'en' ? 'en' : 'zh')
      }
      kept.onerror = () => resolve('zh')
    }
  })

// A notice is a title and a page of this application, no more: it passes through the service of the phone's maker.
self.addEventListener('push', (event) => {
  let notice = {}
  try {
    notice = event.data ? event.data.json() : {}
  } catch {
    // not ours: the sentence below still sends the person to the messages
  }
  const link = typeof notice.link === 'string' && notice.link.startsWith('/m/') ? notice.link : '/m/notices'
  const text = (v) => (typeof v === 'string' ? v : '')
  event.waitUntil(
    language().then((lang) =>
      self.registration.showNotification((lang === 'en' && text(notice.title_en)) || text(notice.title) || '杏林', {
        icon: '/m/icon-192.png',
        badge: '/m/badge-96.png',
        lang: lang === 'en' ? 'en' : 'zh-CN',
        tag: text(notice.tag) || link,
        data: { link },
      }),
    ),
  )
})

self.addEventListener('notificationclick', (event) => {
  event.notification.close()
  const link = event.notification.data?.link ?? '/m/notices'
  event.waitUntil(
    self.clients.matchAll({ type: 'window' }).then(async (open) => {
      const page = open.find((c) => new URL(c.url).pathname.startsWith('/m/'))
      if (!page) return self.clients.openWindow(link)
      await page.focus()
      page.postMessage({ open: link }) // the router goes there; what was typed on another page stays in memory
    }),
  )
})

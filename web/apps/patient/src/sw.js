// The offline shell. Pages come from the network and fall back to the kept shell; hashed files are kept for good; nothing under
// /api/, no other origin and not the waiting room, which is a page of its own, is ever touched. The build puts its name and first
// files in.
const cacheName = 'xinglin-shell-__BUILD__'
const shell = __SHELL__

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll(shell)).then(() => self.skipWaiting()))
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
  }
})

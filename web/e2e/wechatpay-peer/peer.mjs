// The foreign peer of internal/platform/wechatpay and internal/paysim: npm wechatpay-axios-plugin, which shares no code with
// them. It reads one line of JSON from stdin, writes one line of JSON to stdout and ends when stdin ends.
//
//   {"mode": "channel", ...}  plays the channel with the package's own signing: a server on 127.0.0.1 that verifies each
//                             request and signs each answer. Says {"url", "callbacks": [{"headers", "body"}]}.
//   {"mode": "merchant", ...} plays a merchant with the package's own client against another channel. Says what it got.
//
// The package is looked up in XINGLIN_NODE_MODULES or in web/node_modules.
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const modules = process.env.XINGLIN_NODE_MODULES || fileURLToPath(new URL('../../node_modules', import.meta.url));
const require = createRequire(path.join(path.resolve(modules), 'peer.js'));
const { Wechatpay, Rsa, Aes, Formatter } = require('wechatpay-axios-plugin');

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

/** The channel's signature over a body, by the package. */
function sign(input, body, at = Formatter.timestamp()) {
  const timestamp = String(at);
  const nonce = Formatter.nonce();
  return {
    'Wechatpay-Serial': input.serial,
    'Wechatpay-Timestamp': timestamp,
    'Wechatpay-Nonce': nonce,
    'Wechatpay-Signature': Rsa.sign(Formatter.response(timestamp, nonce, body), Rsa.from(input.privateKey, Rsa.KEY_TYPE_PRIVATE)),
  };
}

/** An encrypted resource, by the package. */
function seal(input, plain, kind) {
  const nonce = Formatter.nonce(12);
  return {
    algorithm: 'AEAD_AES_256_GCM',
    ciphertext: Aes.AesGcm.encrypt(plain, input.apiV3Key, nonce, kind),
    associated_data: kind,
    nonce,
    original_type: kind,
  };
}

/** Signed and encrypted callbacks around the resources that were asked for. */
function callback(input, { id, event, kind, resource }) {
  const body = JSON.stringify({
    id,
    create_time: '2026-05-01T17:00:00+08:00',
    event_type: event,
    resource_type: 'encrypt-resource',
    summary: '通知',
    resource: seal(input, JSON.stringify(resource), kind),
  });
  return { headers: sign(input, body), body };
}

/** Why a merchant's request does not verify; empty when it does. */
function refusal(input, request, body) {
  const header = request.headers.authorization || '';
  const [scheme] = header.split(' ', 1);
  const part = Object.fromEntries([...header.matchAll(/(\w+)="([^"]*)"/g)].map((m) => [m[1], m[2]]));
  if (scheme !== 'WECHATPAY2-SHA256-RSA2048') return `scheme ${scheme}`;
  if (part.mchid !== input.mchid || part.serial_no !== input.merchantSerial) return 'mchid or serial_no';
  if (Math.abs(Formatter.timestamp() - Number(part.timestamp)) > 300) return 'timestamp';
  const message = Formatter.request(request.method, request.url, part.timestamp, part.nonce_str, body);
  const key = Rsa.from(input.merchantPublicKey, Rsa.KEY_TYPE_PUBLIC);
  return Rsa.verify(message, part.signature, key) ? '' : 'signature';
}

async function channel(input) {
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString('utf8');
    const why = refusal(input, request, body);
    if (why) {
      response.writeHead(401, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ code: 'SIGN_ERROR', message: why }));
      return;
    }
    const answer = request.url === '/v3/certificates'
      ? { data: [{ serial_no: input.serial, encrypt_certificate: seal(input, input.certificate, 'certificate') }] }
      : input.answers[`${request.method} ${request.url}`];
    const text = answer ? JSON.stringify(answer) : '';
    response.writeHead(answer ? 200 : 204, { 'Content-Type': 'application/json', ...sign(input, text) });
    response.end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  say({ url: `http://127.0.0.1:${server.address().port}`, callbacks: input.callbacks.map((c) => callback(input, c)) });
  return () => server.close();
}

/** Opens a callback as the package's own documentation tells merchants to. */
function open(input, { headers, body }) {
  const serial = headers['Wechatpay-Serial'];
  const message = Formatter.response(headers['Wechatpay-Timestamp'], headers['Wechatpay-Nonce'], body);
  if (!Rsa.verify(message, headers['Wechatpay-Signature'], Rsa.from(input.certs[serial], Rsa.KEY_TYPE_PUBLIC))) {
    throw new Error('callback does not verify');
  }
  const { ciphertext, nonce, associated_data: aad } = JSON.parse(body).resource;
  return JSON.parse(Aes.AesGcm.decrypt(ciphertext, input.apiV3Key, nonce, aad));
}

async function merchant(input) {
  const pay = new Wechatpay({
    mchid: input.mchid,
    serial: input.merchantSerial,
    privateKey: Rsa.from(input.privateKey, Rsa.KEY_TYPE_PRIVATE),
    certs: Object.fromEntries(Object.entries(input.certs).map(([k, v]) => [k, Rsa.from(v, Rsa.KEY_TYPE_PUBLIC)])),
    baseURL: input.baseURL,
    timeout: 10_000,
  });
  const headers = input.ask ? { 'Wechatpay-Serial': input.ask } : {};
  const prepay = await pay.chain('v3/pay/transactions/h5').post(input.order, { headers });
  const query = await pay.chain(`v3/pay/transactions/out-trade-no/${input.order.out_trade_no}`)
    .get({ params: { mchid: input.mchid }, headers });
  const certificates = await pay.chain('v3/certificates').get({ headers });
  const { encrypt_certificate: sealed } = certificates.data.data[0];
  const pem = Aes.AesGcm.decrypt(sealed.ciphertext, input.apiV3Key, sealed.nonce, sealed.associated_data);
  say({
    h5_url: prepay.data.h5_url,
    trade_state: query.data.trade_state,
    certificate: pem,
    opened: input.callbacks.map((c) => open(input, c)),
  });
  return () => {};
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const input = JSON.parse((await lines.next()).value);
const stop = await { channel, merchant }[input.mode](input);
await lines.next(); // until stdin ends
stop();
process.exit(0);

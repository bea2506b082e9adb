import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hiderOf, maskUrl, maskUrls } from './mask-url.ts'

const cases: [url: string, printed: string][] = [
  ['http://127.0.0.1:8545', 'http://127.0.0.1:8545'],
  ['https://rpc.example/', 'https://rpc.example'],
  ['https://user:pass@rpc.example/v2', 'https://rpc.example'],
  ['https://rpc.example/v3/0123456789abcdef0123456789abcdef', 'https://rpc.example'],
  ['https://rpc.example/v2/key', 'https://rpc.example'],
  ['wss://rpc.example:8546/ws?apikey=secret#x', 'wss://rpc.example:8546'],
  ['postgres://me:pw@db.example:5432/tickets', 'postgres://db.example:5432'],
  ['https:/rpc.example/key', 'https://rpc.example'],
  ['https://[::1]:8545/key', 'https://[::1]:8545'],
  ['https://me:12/34@rpc.example/', '***'],
  ['user:password', '***'],
  ['no url at all', '***'],
  ['', '***'],
]
for (const [url, printed] of cases) {
  test(`${url} is printed as ${printed}`, () => assert.equal(maskUrl(url), printed))
}

const texts: [text: string, printed: string][] = [
  ['plain words', 'plain words'],
  ['http://a', 'http://a'],
  ['HTTP://A:80/', 'http://a/…'],
  ['from https://me:pw@a/key to b', 'from https://a/… to b'],
  ['https://a/one,https://b/two', 'https://a/…'],
  ['ethUrlhttps://a/key', 'ethurlhttps://a/…'],
  ['http:/a/key', 'http://a/…'],
  ['"https://a/key" is wrong', '"https://a/…" is wrong'],
  ['/etc/a:/b', '/etc/***'],
  ['https://me:p/w@a', '***'],
]
for (const [text, printed] of texts) {
  test(`in a message, “${text}” is shown as “${printed}”`, () => assert.equal(maskUrls(text), printed))
}

const RPC = 'https://jo:pass%20word@rpc.example/v2/KEYKEYKEY?token=abcd#frag'
const answers: [answer: string, shown: string][] = [
  [`Failed to parse URL from ${RPC}`, 'Failed to parse URL from https://rpc.example'],
  ['project KEYKEYKEY is over its limit', 'project *** is over its limit'],
  ['GET /v2/KEYKEYKEY?token=abcd', 'GET /***?***'],
  ['the token abcd is unknown', 'the token *** is unknown'],
  ['wrong password "pass word" for "pass%20word"', 'wrong password "***" for "***"'],
  ['rpc.example answers with v2', 'rpc.example answers with v2'],
]
for (const [answer, shown] of answers) {
  test(`an answer of the endpoint, “${answer}”, is shown as “${shown}”`, () =>
    assert.equal(hiderOf(RPC)(answer), shown))
}

test('a text that is not a URL hides nothing', () => {
  assert.equal(hiderOf('/run/geth.ipc')('cannot open /run/geth.ipc'), 'cannot open /run/geth.ipc')
})

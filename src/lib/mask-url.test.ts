import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maskUrl } from './mask-url.ts'

const cases: [url: string, printed: string][] = [
  ['http://127.0.0.1:8545', 'http://127.0.0.1:8545'],
  ['https://rpc.example/', 'https://rpc.example'],
  ['https://user:pass@rpc.example/v2', 'https://***@rpc.example/v2'],
  ['https://rpc.example/v3/0123456789abcdef0123456789abcdef', 'https://rpc.example/v3/***'],
  ['wss://rpc.example/ws?apikey=secret#x', 'wss://rpc.example/ws?***'],
  ['user:password', '***'],
  ['no url at all', '***'],
]
for (const [url, printed] of cases) {
  test(`${url} is printed as ${printed}`, () => assert.equal(maskUrl(url), printed))
}

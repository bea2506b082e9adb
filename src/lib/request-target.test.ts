import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requestTarget } from './request-target.ts'

test('a request target is a path, or a whole URL with a host', () => {
  for (const [url, path, authority] of [
    ['/live/a/0.ts', '/live/a/0.ts', null],
    ['/live/a/0.ts?x=http://b/c', '/live/a/0.ts', null],
    ['http://[::1]:9935/live/a/0.ts?x=1', '/live/a/0.ts', '[::1]:9935'],
    ['HTTPS://Gateway.example/a', '/a', 'Gateway.example'],
    ['http://host', '/', 'host'],
    ['http://host?x', '/', 'host'],
    ['http:///a', '/a', ''],
    ['//host/a', '//host/a', null],
    ['ftp://host/a', 'ftp://host/a', null],
    ['', '/', null],
    ['*', '*', null],
  ] as const) {
    assert.deepEqual(requestTarget(url), { path, authority }, url)
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostOf } from './peer-host.ts'

const cases: readonly [string | undefined, string][] = [
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['::1', '0:0:0:0::/64'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:2::9', '2001:db8:1:2::/64'],
  ['2001:db8::9', '2001:db8:0:0::/64'],
  ['64:ff9b::192.0.2.33', '64:ff9b:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  [undefined, 'unknown'],
]

for (const [address, host] of cases) {
  test(`${address} counts for ${host}`, () => assert.equal(hostOf(address), host))
}

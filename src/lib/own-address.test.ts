import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressTowards } from './own-address.ts'

test('the address towards this machine is its loopback, by either protocol and by name', async () => {
  assert.equal(await addressTowards('127.0.0.1'), '127.0.0.1')
  assert.match(await addressTowards('localhost'), /^(127\.0\.0\.1|::1)$/)
})

test('a host that has no address is an error', async () => {
  await assert.rejects(addressTowards('nowhere.invalid'))
})

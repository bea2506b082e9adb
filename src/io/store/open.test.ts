import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { freePort } from '../../../devnet/free-port.ts'
import { StoreError } from './database.ts'
import { openDatabase } from './open.ts'

test('a database that cannot be reached is named without what is secret in its URL', async () => {
  const at = `127.0.0.1:${await freePort()}`
  for (const url of [
    `postgres://operator:pass%20word@${at}/tickets?application_name=s3cr3t`,
    `postgres://operator:pass%20word@${at}:bad/tickets`,
  ]) {
    await assert.rejects(openDatabase({ location: url }), (error) => {
      assert.ok(error instanceof StoreError)
      assert.equal(error.code, 'store-unavailable')
      assert.doesNotMatch(inspect(error, { depth: 9 }), /pass|s3cr3t/)
      return true
    })
  }
})

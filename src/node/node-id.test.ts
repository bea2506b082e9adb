import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { seededDice } from '../lib/dice.ts'
import { NodeError } from '../lib/errors.ts'
import { nodeIdIn } from './node-id.ts'

const folder = mkdtempSync(join(tmpdir(), 'livepeer-node-id-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('a node makes its id at the first start and keeps it', async () => {
  const id = await nodeIdIn(folder, seededDice('a'))
  assert.match(id, /^[0-9a-f]{16}$/)
  assert.equal(await nodeIdIn(folder, seededDice('b')), id)
  assert.equal(readFileSync(join(folder, 'node-id'), 'utf8'), `${id}\n`)
  assert.equal(statSync(join(folder, 'node-id')).mode & 0o777, 0o600)
})

test('a file with anything else is named, and stays as it is', async () => {
  for (const text of ['', 'abc', '0123456789ABCDEF', '0123456789abcdef0']) {
    writeFileSync(join(folder, 'node-id'), text)
    await assert.rejects(nodeIdIn(folder, seededDice('c')), (error) => {
      assert.ok(error instanceof NodeError)
      assert.equal(
        error.message,
        `${join(folder, 'node-id')} holds no node id of 16 hexadecimal digits: remove it, and the node takes a new id, or give another -dataDir`,
      )
      return error.code === 'node-id-unusable'
    })
    assert.equal(readFileSync(join(folder, 'node-id'), 'utf8'), text)
  }
})

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'

/** Enough for two processes to meet a dozen times if each chose alone. */
const PORTS = 400

test('two processes are never given the same port', {
  skip: process.platform === 'linux' ? false : 'ports are reserved on Linux only',
}, async () => {
  const own = await Promise.all(Array.from({ length: PORTS }, freePort))
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    `--eval=import { freePort } from '${new URL('./free-port.ts', import.meta.url)}'
    console.log((await Promise.all(Array.from({ length: ${PORTS} }, freePort))).join())`,
  ])
  const all = [...own, ...stdout.trim().split(',').map(Number)]
  assert.equal(all.length, 2 * PORTS)
  assert.equal(new Set(all).size, all.length)
})

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { knownContracts } from '../../src/domain/known-contracts.ts'
import { createAccount } from '../../src/io/chain/keystore.ts'
import { readSigned } from '../../src/io/chain/signed-transactions.ts'
import type { Hex } from '../../src/lib/bytes.ts'
import { type Address, addressOfKey } from '../../src/lib/crypto.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { noTerminal, Terminal } from '../net/terminal.ts'

/** `livepeer tx sign` as a process that ends if it touches the network, in a namespace without one where that is allowed. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const BIN = join(ROOT, 'bin/livepeer')
const NO_NETWORK = join(ROOT, 'test/net/no-network.ts')
const NETWORK_USED = 99
const OTHER = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
const PASSWORD = 'swordfish'
const CTRL_C = '\x03'
const CTRL_D = '\x04'
/** LivepeerToken.transfer(OTHER, 1.5 LPT). */
const TRANSFER = `0xa9059cbb${OTHER.slice(2).toLowerCase().padStart(64, '0')}${(15n * 10n ** 17n).toString(16).padStart(64, '0')}`

const [token] = [...knownContracts(42161n)].find(([, name]) => name === 'LivepeerToken')!
const isolated = spawnSync('unshare', ['-rn', 'true']).status === 0 ? ['unshare', '-rn'] : []
const env = {
  ...process.env,
  NODE_OPTIONS: `--disable-warning=ExperimentalWarning --import=${NO_NETWORK}`,
}

let folder: string
let from: Address
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'livepeer-offline-'))
  const account = { dice: seededDice('offline'), nowMs: 0, scryptN: 2 ** 12 }
  from = addressOfKey((await createAccount(join(folder, 'keys'), PASSWORD, account)).key)
})
after(() => rmSync(folder, { recursive: true, force: true }))

/** A file of one transaction; `changed` of it. */
function unsigned(name: string, changed: object = {}): string {
  const path = join(folder, name)
  const transaction = {
    ...{ about: `sends 1.5 LPT to ${OTHER}`, nonce: 4, to: token, data: TRANSFER, value: '0' },
    ...{ gas: '100000', maxFeePerGas: '100000000', maxPriorityFeePerGas: '0', ...changed },
  }
  const head = { format: 'livepeer-transactions', version: 1, state: 'unsigned', chainId: '42161' }
  writeFileSync(path, JSON.stringify({ ...head, from, command: 'x', transactions: [transaction] }))
  return path
}

function runs(...words: string[]) {
  const [program, ...rest] = [...isolated, BIN, ...words]
  const { status, stderr, stdout } = spawnSync(program!, rest, { encoding: 'utf8', env })
  return { status, said: `${stdout}${stderr}` }
}

const KEY = () => ['--ethKeystorePath', join(folder, 'keys'), '--ethPassword', PASSWORD]

test('what would touch the network ends', () => {
  const { said, status } = runs('status', '4999')
  assert.equal(status, NETWORK_USED, said)
})

test('a transaction is signed without a network, and one that is not understood is not', async () => {
  const path = unsigned('t.json')
  const signed = runs('tx', 'sign', path, ...KEY(), '--yes')
  assert.equal(signed.status, 0, signed.said)
  assert.match(signed.said, new RegExp(`calls LivepeerToken\\.transfer .*\\n.*to: ${OTHER}`))
  const { transactions } = JSON.parse(readFileSync(`${path}.signed`, 'utf8')) as {
    transactions: { raw: Hex }[]
  }
  const read = await readSigned(transactions[0]!.raw)
  assert.deepEqual([read.from, read.data, read.nonce], [from, TRANSFER, 4])

  const odd = unsigned('odd.json', { data: `0xdeadbeef${TRANSFER.slice(10)}` })
  const refused = runs('tx', 'sign', odd, ...KEY(), '--yes')
  assert.equal(refused.status, 1, refused.said)
  assert.equal(existsSync(`${odd}.signed`), false)
})

describe('at a terminal', { skip: noTerminal() }, () => {
  const open = (path: string, ...options: string[]) => {
    const words = ['tx', 'sign', path, '--ethKeystorePath', join(folder, 'keys'), ...options]
    const command = [`NODE_OPTIONS="${env.NODE_OPTIONS}"`, ...isolated, BIN, ...words].join(' ')
    return Terminal.open(`env ${command}`, { cwd: folder })
  }

  test('it shows what is signed, asks, and takes the password without showing it', async () => {
    const path = unsigned('asked.json')
    await using terminal = open(path)
    assert.match(await terminal.sees(/Sign this\? \[y\/N\] /), /calls LivepeerToken\.transfer/)
    terminal.press('y\r')
    await terminal.sees(/[Pp]assword/)
    terminal.press(`${PASSWORD}\r`)
    const shown = await terminal.sees(/written to .*asked\.json\.signed/)
    assert.equal(await terminal.exited(), 0)
    assert.ok(!shown.includes(PASSWORD), shown)
    assert.ok(existsSync(`${path}.signed`))
  })

  for (const [what, keys] of [
    ['no', 'n\r'],
    ['Ctrl-C', CTRL_C],
    ['Ctrl-D', CTRL_D],
  ] as const) {
    test(`nothing is signed after ${what}`, async () => {
      const path = unsigned(`not-${keys.charCodeAt(0)}.json`)
      await using terminal = open(path, '--ethPassword', PASSWORD)
      await terminal.sees(/Sign this\? \[y\/N\] /)
      terminal.press(keys)
      await terminal.sees(/nothing was done/)
      assert.equal(await terminal.exited(), 1)
      assert.equal(existsSync(`${path}.signed`), false)
    })
  }
})

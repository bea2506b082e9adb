import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { OperateNode, operateOutput } from '../../../test/fakes/operate-node.ts'
import { knownContracts } from '../../domain/known-contracts.ts'
import { createAccount } from '../../io/chain/keystore.ts'
import { readSigned } from '../../io/chain/signed-transactions.ts'
import type { Hex } from '../../lib/bytes.ts'
import { type Address, addressOfKey } from '../../lib/crypto.ts'
import { seededDice } from '../../lib/dice.ts'
import { runOperate } from './command.ts'

/** `livepeer tx sign` and `livepeer tx send` on files that whoever carried them may have changed. */

const OTHER = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
const contracts = knownContracts(42161n)
const addressOf = (name: string) => [...contracts].find(([, known]) => known === name)![0]
const { signal } = new AbortController()
/** On another chain. */
const TOKEN = '0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65'
/** LivepeerToken.transfer(OTHER, 1.5 LPT). */
const TRANSFER = `0xa9059cbb${OTHER.slice(2).toLowerCase().padStart(64, '0')}${(15n * 10n ** 17n).toString(16).padStart(64, '0')}`

let folder: string
let from: Address

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'livepeer-signing-'))
  const { key } = await createAccount(folder, 'secret', {
    dice: seededDice('signing'),
    nowMs: 0,
    scryptN: 2 ** 12,
  })
  from = addressOfKey(key)
})
after(() => rmSync(folder, { recursive: true, force: true }))

type Json = Record<string, unknown>
const transaction = (changed: Json = {}): Json => ({
  ...{
    about: `sends 1.5 LPT to ${OTHER}`,
    nonce: 4,
    to: addressOf('LivepeerToken'),
    data: TRANSFER,
    value: '0',
  },
  ...{ gas: '100000', maxFeePerGas: '100000000', maxPriorityFeePerGas: '0' },
  ...changed,
})
const fileOf = (changed: Json = {}, ...transactions: readonly Json[]) =>
  JSON.stringify({
    ...{
      format: 'livepeer-transactions',
      version: 1,
      state: 'unsigned',
      chainId: '42161',
      from,
      command: 'x',
    },
    transactions: transactions.length > 0 ? transactions : [transaction()],
    ...changed,
  })

async function sign(text: string, options = '', answers?: readonly string[]) {
  const line = `tx sign t.json --ethKeystorePath ${folder} --ethPassword secret ${answers ? '' : '--yes'} ${options}`
  const output = operateOutput(line.trim().split(/ +/), {
    files: { 't.json': text },
    ...(answers && { answers }),
  })
  const code = await runOperate(output.env, signal)
  return { code, out: output.out(), err: output.err(), files: output.files }
}

test('what is signed is shown in words first, and is what the file says', async () => {
  const { code, err, files, out } = await sign(fileOf(), '', ['y'])
  assert.equal(code, 0, err)
  assert.match(out, new RegExp(`^to sign with ${from}, for chain 42161:\n1\\. sends 1\\.5 LPT to ${OTHER}\n`))
  assert.match(
    out,
    /calls LivepeerToken\.transfer at 0x289b.*\n.*to: .*\n.*amount: 1\.5 LPT\n.*costs at most 0\.00001 ETH of gas\n.*is number 4 of the account/,
  )
  const written = JSON.parse(files.get('t.json.signed')!) as { state: string; transactions: { raw: Hex }[] }
  assert.equal(written.state, 'signed')
  const { hash: _, ...read } = await readSigned(written.transactions[0]!.raw)
  assert.deepEqual(read, {
    ...{ from, chainId: 42161n, nonce: 4, to: addressOf('LivepeerToken'), data: TRANSFER, value: 0n },
    ...{ gas: 100_000n, maxFeePerGas: 100_000_000n, maxPriorityFeePerGas: 0n },
  })
})

test('without a yes nothing is signed', async () => {
  const { code, files } = await sign(fileOf(), '', ['no'])
  assert.deepEqual([code, [...files.keys()]], [1, ['t.json']])
})

test('what is not understood, says something else than its words, or is absurd is not signed', async () => {
  const stranger = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
  const approve = `0x095ea7b3${stranger.slice(2).toLowerCase().padStart(64, '0')}${'f'.repeat(64)}`
  const refused: readonly (readonly [string, RegExp])[] = [
    [
      fileOf({}, transaction({ to: stranger })),
      /the contract at 0x90F7\S+ is not known on chain 42161: if you know it/,
    ],
    [fileOf({}, transaction({ data: '0x12345678' })), /LivepeerToken has no function 0x12345678/],
    [
      fileOf({}, transaction({ data: `0x23b872dd${'0'.repeat(192)}` })),
      /LivepeerToken has no function 0x23b872dd/,
    ],
    [fileOf({}, transaction({ data: `${TRANSFER}00` })), /not in the usual form|has no function/],
    [
      fileOf({}, transaction({ about: `sends 1.5 LPT to ${stranger}` })),
      /the file says that it sends 1\.5 LPT to 0x90F7\S+, and its data that it sends 1\.5 LPT to 0x3C44/,
    ],
    [
      fileOf({}, transaction({ about: 'lets', data: approve })),
      /it would let 0x90F7\S+ take LPT, which is not the BondingManager/,
    ],
    [fileOf({}, transaction({ value: '1' })), /LivepeerToken\.transfer takes no ether/],
    [fileOf({ chainId: '1' }), /it is for chain 1, and chain 42161 is meant/],
    [fileOf({ from: stranger }), /-ethAcctAddr 0x90F7\S+ is not in the keystore/],
    [fileOf({}, transaction({ gas: '30000001' })), /its gas limit of 30000001 is above/],
    [
      fileOf({}, transaction({ maxFeePerGas: '20000000001' })),
      /it offers 20 gwei for a unit of gas, above the 20 gwei/,
    ],
    [fileOf({}, transaction({ maxPriorityFeePerGas: '100000001' })), /its tip is above its fee/],
    [
      fileOf({}, transaction({ gas: '29000000', maxFeePerGas: '20000000000' })),
      /the gas may cost up to 0\.58 ETH, more than 0\.1 ETH/,
    ],
    [
      fileOf({}, transaction(), transaction({ nonce: 6 })),
      /transaction 2 is refused: its nonce is 6, and 5 is next/,
    ],
    [fileOf({ version: 2 }), /not a file of livepeer --unsigned or livepeer tx sign of this version/],
    [fileOf({ extra: true }), /not a file of/],
    [fileOf({}, transaction({ value: '-1' })), /not a file of/],
    [fileOf({}, transaction({ nonce: -1 })), /not a file of/],
    [fileOf({}, transaction({ to: OTHER.replace('C44', 'c44') })), /no address at transactions\.0\.to/],
    [fileOf({ transactions: [] }), /not a file of/],
    [fileOf({ transactions: Array.from({ length: 21 }, () => transaction()) }), /not a file of/],
    [`${fileOf()}x`, /is no JSON/],
    [`"${'x'.repeat(600_000)}"`, /is larger than/],
  ]
  for (const [text, message] of refused) {
    const { code, err, files } = await sign(text)
    assert.equal(code, 1, err)
    assert.match(err, message)
    assert.equal(files.has('t.json.signed'), false)
  }
})

test('a contract of another chain is signed for once it is named by hand', async () => {
  const text = fileOf({ chainId: '54321' }, transaction({ to: TOKEN }))
  assert.match((await sign(text, '--chain-id 54321')).err, /is not known on chain 54321/)
  const { code, err } = await sign(text, `--chain-id 54321 --contract LivepeerToken=${TOKEN}`)
  assert.equal(code, 0, err)
  assert.equal((await sign(text, `--chain-id 54321 --contract Money=${TOKEN}`)).code, 2)
})

test('signed transactions are sent in turn; what is mined already is left out, also when it is repeated', async () => {
  const { files } = await sign(fileOf({}, transaction(), transaction({ nonce: 5 })))
  const text = files.get('t.json.signed')!
  const mined = new Set<string>()
  const sent: string[] = []
  await using node = await OperateNode.start(({ path, values }) => {
    const raw = values.transaction!
    if (path === '/sendSigned') {
      sent.push(raw)
      mined.add(raw)
      return { hash: `0x${'0'.repeat(64)}` }
    }
    return mined.has(raw) ? { state: 'mined', block: '8', feeWei: '7' } : { state: 'unknown' }
  })
  const run = async () => {
    const output = operateOutput(`tx send s.json --yes --node ${node.port}`, { files: { 's.json': text } })
    return { code: await runOperate(output.env, signal), out: output.out(), err: output.err() }
  }
  const first = await run()
  assert.equal(first.code, 0, first.err)
  assert.equal(sent.length, 2)
  assert.match(
    first.out,
    /1\. sent 0x\w+, waiting until it is mined\n1\. mined in block 8 as 0x\w+, for 7 wei of gas\n2\. sent/,
  )
  const second = await run()
  assert.equal(second.code, 0, second.err)
  assert.equal(sent.length, 2)
  assert.match(second.out, /1\. before: mined in block 8/)
})

test('a signed file that was changed, or that failed on the chain, is told', async () => {
  const { files } = await sign(fileOf())
  const text = files.get('t.json.signed')!
  await using node = await OperateNode.start(({ path }) =>
    path === '/sendSigned' ? { hash: '0x' } : { state: 'failed', block: '8', feeWei: '7' },
  )
  const run = async (changed: string) => {
    const output = operateOutput(`tx send s.json --yes --node ${node.port}`, { files: { 's.json': changed } })
    return { code: await runOperate(output.env, signal), err: output.err() }
  }
  const cases: readonly (readonly [string, RegExp])[] = [
    [text, /transaction 1: it was mined in block 8 and failed/],
    [text.replace(from, OTHER), /transaction 1 is signed by 0x\w+, not by 0x3C44/],
    [text.replace('"42161"', '"1"'), /transaction 1 is for chain 42161, and the file for chain 1/],
    [text.replace('sends 1.5', 'sends 0.5'), /the file says that it sends 0\.5 LPT/],
    [fileOf(), /is not signed: livepeer tx sign signs it/],
  ]
  for (const [changed, message] of cases) {
    const { code, err } = await run(changed)
    assert.equal(code, 1)
    assert.match(err, message)
  }
})

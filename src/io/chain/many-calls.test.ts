import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { devnetKey } from '../../../devnet/artifacts.ts'
import { type ChainFixture, startChain } from '../../../test/chain/fixture.ts'
import type { Hex } from '../../lib/bytes.ts'
import { parseAddress } from '../../lib/crypto.ts'
import { packCalls, readResults, unpackCalls, type ViewCall, writeResults } from './many-calls.ts'

let chain: ChainFixture

before(async () => {
  chain = await startChain()
  await chain.protocol.fundSender(devnetKey('many calls'), 10n ** 18n, 10n ** 18n)
})
after(() => chain[Symbol.asyncDispose]())

/** Calls of the broker: views with one word, with several, one that reverts with words, and a contract that is not there. */
function someCalls(): ViewCall[] {
  const { ticketBroker: to, controller } = chain.client.addresses
  const word = (byte: string) => byte.repeat(32)
  return [
    { to, data: `0x59a515ba${word('01')}` },
    { to, data: `0xe1a589da${word('00')}` },
    { to, data: '0xffffffff' },
    { to: parseAddress(`0x${'99'.repeat(20)}`), data: '0x12345678' },
    { to: controller, data: `0xe16c7d98${word('00')}` },
    { to, data: '0x' },
  ]
}

test('one call brings what each call alone would have brought', async () => {
  const calls = someCalls()
  const answer = await chain.rpc.request('eth_call', [{ data: packCalls(calls) }, 'latest'])
  const results = readResults(answer, calls.length)
  assert.ok(results)
  for (const [i, call] of calls.entries()) {
    const alone = await chain.anvil.request<Hex>('eth_call', [call, 'latest']).catch(() => null)
    assert.deepEqual(
      [results[i]!.success, results[i]!.success ? results[i]!.data : null],
      [alone !== null, alone],
      JSON.stringify(call),
    )
  }
})

test('64 calls with ten words each fit into one', async () => {
  const to = chain.client.addresses.bondingManager
  const calls = Array.from({ length: 64 }, (_, i): ViewCall => {
    return { to, data: `0x5dce9948${i.toString(16).padStart(64, '0')}` }
  })
  const answer = await chain.rpc.request('eth_call', [{ data: packCalls(calls) }, 'latest'])
  const results = readResults(answer, 64)
  assert.ok(results?.every(({ success, data }) => success && data.length === 2 + 640))
})

test('calls and results come out as they went in; anything else is not taken for them', () => {
  const calls = someCalls()
  assert.deepEqual(unpackCalls(packCalls(calls)), calls)
  assert.equal(unpackCalls('0x6080'), null)
  const results = [
    { success: true, data: '0x' },
    { success: false, data: '0x08c379a0' },
  ] as const
  assert.deepEqual(readResults(writeResults(results), 2), results)
  for (const wrong of [
    writeResults(results).slice(0, -2),
    `${writeResults(results)}00`,
    '0x',
    null,
    {},
    '0x02',
  ]) {
    assert.equal(readResults(wrong, 2), null)
  }
  assert.equal(readResults(writeResults(results), 1), null)
})

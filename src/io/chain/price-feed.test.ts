import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { decodeFunctionData, encodeFunctionResult } from 'viem'
import { Anvil } from '../../../devnet/anvil.ts'
import { type PassingRequest, RpcFault, RpcShim } from '../../../test/chain/rpc-shim.ts'
import { eventually } from '../../../test/tools/until.ts'
import { currencyToWei } from '../../domain/price.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { parseAddress } from '../../lib/crypto.ts'
import { silentLog } from '../../lib/log.ts'
import { Rational } from '../../lib/rational.ts'
import { Supervisor } from '../../lib/service.ts'
import { abis } from './contracts.ts'
import { PriceFeed } from './price-feed.ts'
import { Rpc } from './rpc.ts'

const FEED = parseAddress('0x639Fe6ab55C921f74e7fac1ee960C0B6293ba612')
const HOUR_MS = 3_600_000
let anvil: Anvil

before(async () => {
  anvil = await Anvil.start()
})
after(() => anvil.stop())

interface Answers {
  description: string
  decimals: number
  answer: bigint
  updatedAt: bigint
  broken: boolean
}

/** An endpoint on which a feed answers as it is told to. */
async function feedOf(answers: Answers): Promise<RpcShim> {
  return RpcShim.start(anvil.url, async ({ method, params, forward }: PassingRequest) => {
    if (method !== 'eth_call') return forward()
    if (answers.broken) throw new RpcFault(3, 'execution reverted')
    const { data } = params[0] as { data: `0x${string}` }
    const { functionName } = decodeFunctionData({ abi: abis.Aggregator, data })
    const { description, decimals, answer, updatedAt } = answers
    if (functionName === 'description') {
      return encodeFunctionResult({ abi: abis.Aggregator, functionName, result: description })
    }
    if (functionName === 'decimals') {
      return encodeFunctionResult({ abi: abis.Aggregator, functionName, result: decimals })
    }
    return encodeFunctionResult({
      abi: abis.Aggregator,
      functionName: 'latestRoundData',
      result: [1n, answer, 0n, updatedAt, 1n],
    })
  })
}

const usd = (): Answers => ({
  description: 'ETH / USD',
  decimals: 8,
  answer: 2_000n * 10n ** 8n,
  updatedAt: 100n,
  broken: false,
})

function reading(
  shim: RpcShim,
  currency: string,
  clock = new ManualClock(),
): { feed: PriceFeed; clock: ManualClock } {
  const rpc = new Rpc({ urls: [shim.url], chainId: null }, { clock, log: silentLog })
  return { feed: new PriceFeed({ address: FEED, currency }, { rpc, clock, log: silentLog }), clock }
}

test('a currency is worth what the feed says, whichever side ether is on', async () => {
  const cases: [Partial<Answers>, string, Rational][] = [
    [{}, 'usd', Rational.of(5n * 10n ** 14n)],
    [{ description: 'usd/eth', decimals: 18, answer: 5n * 10n ** 14n }, 'USD', Rational.of(5n * 10n ** 14n)],
  ]
  for (const [over, currency, expected] of cases) {
    await using shim = await feedOf({ ...usd(), ...over })
    await using supervisor = new Supervisor()
    const { feed } = reading(shim, currency)
    assert.throws(() => feed.feed, { code: 'unusable-price-feed' })
    await supervisor.start(feed)
    assert.equal(currencyToWei(Rational.one, currency, feed.feed).toString(), expected.toString())
  }
})

test('another pair’s feed, a price of zero and an address without a feed end the start with a sentence', async () => {
  const cases: [Partial<Answers>, string][] = [
    [{ description: 'BTC / USD' }, 'unusable-price-feed'],
    [{ description: 'ETH / EUR' }, 'unusable-price-feed'],
    [{ answer: 0n }, 'unusable-price-feed'],
    [{ answer: -1n }, 'unusable-price-feed'],
    [{ broken: true }, 'reverted'],
  ]
  for (const [over, code] of cases) {
    await using shim = await feedOf({ ...usd(), ...over })
    await using supervisor = new Supervisor()
    await assert.rejects(supervisor.start(reading(shim, 'USD').feed), { code })
  }
  await using nothing = await RpcShim.start(anvil.url)
  await using supervisor = new Supervisor()
  await assert.rejects(supervisor.start(reading(nothing, 'USD').feed), { code: 'no-contract' })
})

test('each full hour the price is read again, and told if it is newer', async () => {
  const answers = usd()
  await using shim = await feedOf(answers)
  const { feed, clock } = reading(shim, 'USD', new ManualClock(10 * HOUR_MS - 1_000))
  await using supervisor = new Supervisor()
  const stop = new AbortController()
  const told: string[] = []
  feed.subscribe(({ price }) => told.push(price.toString()), stop.signal)
  await supervisor.start(feed)
  const reads = () => shim.calls
  const nextHour = async (ms: number) => {
    const before = reads()
    await eventually('asleep', () => clock.sleepers > 0)
    await clock.wind(ms)
    await eventually('read', () => reads() >= before + 3)
    await eventually('asleep again', () => clock.sleepers > 0)
    await settle()
  }
  answers.answer = 3_000n * 10n ** 8n
  await nextHour(1_000)
  assert.deepEqual(told, ['2000'])
  answers.updatedAt = 101n
  await nextHour(HOUR_MS)
  assert.deepEqual(told, ['2000', '3000'])
  stop.abort()
})

test('a feed that fails is tried five times, and the last price stays', async () => {
  const answers = usd()
  await using shim = await feedOf(answers)
  const { feed, clock } = reading(shim, 'USD', new ManualClock(10 * HOUR_MS - 1_000))
  await using supervisor = new Supervisor()
  await supervisor.start(feed)
  answers.broken = true
  const reads = () => shim.calls
  let expected = reads()
  for (const ms of [1_000, 30_000, 60_000, 120_000, 240_000]) {
    await eventually('asleep', () => clock.sleepers > 0)
    await clock.wind(ms)
    expected += 3
    await eventually(`read after ${ms}`, () => reads() === expected)
  }
  await eventually('asleep', () => clock.sleepers > 0)
  await clock.wind(480_000)
  assert.equal(reads(), expected)
  assert.equal(feed.feed.price.toString(), '2000')
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Anvil } from '../../../devnet/anvil.ts'
import { HABITS, startHabits } from '../../../test/chain/rpc-habits.ts'
import { RpcFault, RpcShim } from '../../../test/chain/rpc-shim.ts'
import { systemClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { gasPriceTooHigh, offerFor, readFeeMarket, replacementFor } from './fees.ts'
import { Rpc } from './rpc.ts'

const GWEI = 10n ** 9n
const rpcOver = (...urls: string[]) =>
  new Rpc({ urls, chainId: null }, { clock: systemClock, log: silentLog })

test('an offer leaves room for the base fee to double and for the tip, and ends at the maximum', () => {
  const cases: [{ baseFee: bigint; tip: bigint }, bigint, [bigint, bigint]][] = [
    [{ baseFee: 100n, tip: 3n }, 0n, [203n, 3n]],
    [{ baseFee: 100n, tip: 3n }, 1_000n, [203n, 3n]],
    [{ baseFee: 100n, tip: 3n }, 150n, [150n, 3n]],
    // A base fee that decayed far below the tip: the tip gives way.
    [{ baseFee: 7n, tip: 1_000n }, 500n, [500n, 500n]],
    [{ baseFee: 7n, tip: 1_000n }, 1_014n, [1_014n, 1_000n]],
    [{ baseFee: 0n, tip: 0n }, 5n, [0n, 0n]],
  ]
  for (const [market, max, [fee, tip]] of cases) {
    assert.deepEqual(offerFor(market, max), { maxFeePerGas: fee, maxPriorityFeePerGas: tip })
  }
})

test('a base fee above the maximum is refused with both in the sentence', () => {
  assert.throws(() => offerFor({ baseFee: 2_500_000_000n, tip: 0n }, 2_000_000_000n), {
    code: 'gas-price-too-high',
    message: 'current gas price exceeds maximum gas price max=2 GWei current=2.5 GWei',
  })
  assert.equal(
    gasPriceTooHigh(7n, 100_000_000_000n).message,
    'current gas price exceeds maximum gas price max=100 GWei current=0.000000007 GWei',
  )
})

test('a replacement pays 11 % more of both, rounded up, or what the market asks by now', () => {
  const cases: [[bigint, bigint], { baseFee: bigint; tip: bigint }, bigint, [bigint, bigint] | null][] = [
    [[100n, 10n], { baseFee: 1n, tip: 1n }, 0n, [111n, 12n]],
    [[101n, 1n], { baseFee: 1n, tip: 1n }, 0n, [113n, 2n]],
    [[100n, 10n], { baseFee: 200n, tip: 50n }, 0n, [450n, 50n]],
    [[100n, 10n], { baseFee: 200n, tip: 50n }, 300n, [300n, 50n]],
    [[100n, 10n], { baseFee: 1n, tip: 1n }, 111n, [111n, 12n]],
    [[100n, 10n], { baseFee: 1n, tip: 1n }, 110n, null],
    [[100n, 100n], { baseFee: 1n, tip: 1n }, 0n, [111n, 111n]],
  ]
  for (const [[maxFeePerGas, maxPriorityFeePerGas], market, max, expected] of cases) {
    const made = replacementFor({ maxFeePerGas, maxPriorityFeePerGas }, market, max)
    assert.deepEqual(made && [made.maxFeePerGas, made.maxPriorityFeePerGas], expected)
  }
})

test('a refusal says where its limit comes from', () => {
  assert.equal(
    gasPriceTooHigh(3n * GWEI, 2n * GWEI, 'default').message,
    'current gas price exceeds maximum gas price max=2 GWei current=3 GWei: that is the maximum while -maxGasPrice is not set; set it to allow more',
  )
  assert.match(gasPriceTooHigh(3n, 2n, 'earnings').message, /: more would cost more than the tickets pay$/)
})

test('a tip is no higher than what blocks were lately paid, or 2 gwei, whatever is suggested', async () => {
  await using anvil = await Anvil.start()
  await anvil.mine(3)
  const paid = 7n * GWEI
  let suggested = GWEI
  let history: () => unknown = () => ({ reward: [['0x0'], [`0x${paid.toString(16)}`], ['0x1']] })
  await using shim = await RpcShim.start(anvil.url, async ({ method, forward }) => {
    if (method === 'eth_maxPriorityFeePerGas') return `0x${suggested.toString(16)}`
    return method === 'eth_feeHistory' ? history() : forward()
  })
  const rpc = rpcOver(shim.url)
  const tip = async () => (await readFeeMarket(rpc)).tip
  assert.equal(await tip(), GWEI)
  assert.equal(shim.asked.get('eth_feeHistory'), undefined)
  suggested = 10n ** 15n
  assert.equal(await tip(), 2n * paid)
  history = () => 'none'
  assert.equal(await tip(), 2n * GWEI)
  history = () => {
    throw new RpcFault(-32601, 'the method eth_feeHistory does not exist')
  }
  assert.equal(await tip(), 2n * GWEI)
})

test('of two endpoints the one that asks for less is believed', async () => {
  await using anvil = await Anvil.start()
  await using absurd = await startHabits(anvil.url, [HABITS.absurdFees])
  const both = rpcOver(absurd.url, anvil.url)
  const honest = await readFeeMarket(rpcOver(anvil.url))
  assert.deepEqual(await readFeeMarket(both), honest)
  // Its offer was too low all the same: the other may be right about the base fee, which is not spent in full.
  const late = await readFeeMarket(both, { isLate: true })
  assert.ok(late.baseFee > 10n ** 14n && late.tip === honest.tip)
})

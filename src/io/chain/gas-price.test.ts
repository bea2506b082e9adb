import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Anvil } from '../../../devnet/anvil.ts'
import { RpcFault, RpcShim } from '../../../test/chain/rpc-shim.ts'
import { eventually } from '../../../test/tools/until.ts'
import { ManualClock, settle, systemClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { GasPriceMonitor, networkMaxOf } from './gas-price.ts'
import { Rpc } from './rpc.ts'

const GWEI = 10n ** 9n

test('the price is the chain’s, at least the minimum, and stays when the chain does not answer', async () => {
  await using anvil = await Anvil.start()
  let answer: bigint | null = 3n * GWEI
  await using shim = await RpcShim.start(anvil.url, async ({ method, forward }) => {
    if (method !== 'eth_gasPrice') return forward()
    if (answer === null) throw new RpcFault(-32000, 'broken')
    return `0x${answer.toString(16)}`
  })
  const needs = { clock: systemClock, log: silentLog }
  const rpc = new Rpc({ urls: [shim.url], chainId: null }, needs)
  const monitor = new GasPriceMonitor({ min: 2n * GWEI, max: 4n * GWEI, pollMs: 20 }, { ...needs, rpc })
  assert.equal(monitor.gasPrice, 0n)
  monitor.assertBelowMax()
  await using supervisor = new Supervisor()
  await supervisor.start(monitor)
  assert.equal(monitor.gasPrice, 3n * GWEI)
  answer = GWEI
  await eventually('the minimum', () => monitor.gasPrice === 2n * GWEI)
  answer = 5n * GWEI
  await eventually('a higher price', () => monitor.gasPrice === 5n * GWEI)
  assert.throws(() => monitor.assertBelowMax(), {
    code: 'gas-price-too-high',
    message: 'current gas price exceeds maximum gas price max=4 GWei current=5 GWei',
  })
  monitor.max = 6n * GWEI
  monitor.assertBelowMax()
  monitor.max = 0n
  monitor.assertBelowMax()
  answer = null
  const asked = shim.asked.get('eth_gasPrice')!
  await eventually('asked in vain', () => shim.asked.get('eth_gasPrice')! > asked + 1)
  assert.equal(monitor.gasPrice, 5n * GWEI)
  monitor.min = 7n * GWEI
  assert.equal(monitor.gasPrice, 7n * GWEI)
})

test('a chain that does not answer at the start leaves the price unknown, not the node stopped', async () => {
  await using anvil = await Anvil.start()
  let broken = true
  await using shim = await RpcShim.start(anvil.url, async ({ method, forward }) => {
    if (method === 'eth_gasPrice' && broken) throw new RpcFault(-32000, 'broken')
    return forward()
  })
  const needs = { clock: systemClock, log: silentLog }
  const rpc = new Rpc({ urls: [shim.url], chainId: null }, needs)
  const monitor = new GasPriceMonitor({ min: GWEI, max: 0n, pollMs: 20 }, { ...needs, rpc })
  await using supervisor = new Supervisor()
  await supervisor.start(monitor)
  assert.equal(monitor.gasPrice, 0n)
  broken = false
  await eventually('known', () => monitor.gasPrice > 0n)
})

test('without a maximum nothing dearer than ten times the median of the last hour is offered, nor what no network asks for', async () => {
  let answer = GWEI
  const askTwo = async () => ({ answers: [`0x${answer.toString(16)}`] })
  const rpc = { quantity: async () => answer, askTwo } as unknown as Rpc
  const clock = new ManualClock()
  const monitor = new GasPriceMonitor(
    { min: 0n, max: 0n, networkMax: networkMaxOf(42161), pollMs: 5_000 },
    { rpc, clock, log: silentLog },
  )
  assert.equal(monitor.ceiling, 2n * GWEI)
  await using supervisor = new Supervisor()
  await supervisor.start(monitor)
  const pass = async (polls: number) => {
    await clock.wind(5_000 * polls)
    await settle()
  }
  await pass(100)
  assert.equal(monitor.ceiling, 10n * GWEI)
  answer = 10n ** 15n
  await pass(50)
  assert.equal(monitor.ceiling, 10n * GWEI)
  await pass(800)
  assert.equal(monitor.ceiling, 20n * GWEI)
  answer = GWEI / 100n
  await pass(800)
  assert.equal(monitor.ceiling, 2n * GWEI)
  monitor.max = 3n
  assert.equal(monitor.ceiling, 3n)
  assert.equal(networkMaxOf(1), 500n * GWEI)
})

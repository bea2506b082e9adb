import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { eventually } from '../tools/until.ts'
import { accountAt, ControlledChain, LPT } from './control-nodes.ts'

/** `-alert` of a whole node on a chain with the contracts, to which the faults happen. */

const [registered, other] = [accountAt(1), accountAt(2)]
const ROUND_LENGTH = 60n
/** A node looks every 15 s. */
const TOLD_MS = 60_000

interface Told {
  readonly alert: string
  readonly status: 'firing' | 'resolved'
  readonly says: string
  readonly change: string
}

let chain: ControlledChain
let hook: Server
const told: Told[] = []

before(async () => {
  hook = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    told.push(...(JSON.parse(body) as { alerts: Told[] }).alerts)
    response.end()
  })
  hook.listen(0, '127.0.0.1')
  await once(hook, 'listening')
  chain = await ControlledChain.start({ roundLength: ROUND_LENGTH, unbondingPeriod: 1n })
  for (const { key } of [registered, other]) {
    await chain.protocol.bondAndRegister(key, { stake: 100n * LPT, serviceUri: 'https://127.0.0.1:8935' })
  }
  await chain.protocol.nextRound()
  const { port } = hook.address() as AddressInfo
  await chain.node('rewarder', `-alert http://127.0.0.1:${port}/hook`, registered)
})
after(async () => {
  await chain[Symbol.asyncDispose]()
  hook.close()
})

/** Waits until an alert is told to have begun; what it says. */
async function tells(alert: string): Promise<Told> {
  const find = () => told.find((one) => one.alert === alert && one.status === 'firing')
  await eventually(`${alert} is told`, () => find() !== undefined, TOLD_MS)
  return find()!
}

test('a reward that is not called for want of ether is told in the middle of the round', async () => {
  const { anvil, protocol } = chain
  await protocol.nextRound()
  await anvil.setBalance(registered.address, 0n)
  await protocol.nextRound()
  await anvil.mine(Number(ROUND_LENGTH) / 2)
  const { change, says } = await tells('reward-at-risk')
  assert.match(says, new RegExp(`reward of ${registered.address} in round \\d+ is not called`))
  assert.match(change, /livepeer orchestrator reward/)
})

test('an orchestrator that is about to leave the active set is told of, once', async () => {
  const { protocol } = chain
  const stake = await protocol.read<bigint>('BondingManager', 'pendingStake', [registered.address, 0n])
  await protocol.call(registered.key, 'BondingManager', 'unbond', [stake])
  const { change, says } = await tells('orchestrator-inactive')
  assert.match(
    says,
    new RegExp(`the orchestrator ${registered.address} (leaves the active set in round|is not registered)`),
  )
  assert.match(change, /livepeer orchestrator bond/)
  assert.equal(told.filter(({ status }) => status === 'firing').length, 2, JSON.stringify(told))
})

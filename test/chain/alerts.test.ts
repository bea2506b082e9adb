import assert from 'node:assert/strict'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { freePort } from '../../devnet/free-port.ts'
import { ALERT_CODES } from '../../src/domain/alerts.ts'
import type { NodeStatus } from '../../src/node/status/status.ts'
import { SmallDisk } from '../tools/small-disk.ts'
import { eventually } from '../tools/until.ts'
import { AlertStage } from './alert-stage.ts'
import { accountAt, type LocalNode, LPT } from './control-nodes.ts'
import { asOf } from './rpc-habits.ts'

/** Alerts of a whole node that calls reward, to which faults happen: each is told once when it begins and once when it is over. */

const NODE = 'rewarder'
const X = accountAt(1)
const ROUND_LENGTH = 200n
const ETHER = 10n ** 18n
const QUIET_MS = 5 * 60_000
const MEBIBYTE = 2 ** 20
const DISK_BYTES = 64 * MEBIBYTE

const disk = SmallDisk.mount(DISK_BYTES)
let stage: AlertStage
let node: LocalNode

before(async () => {
  stage = await AlertStage.set({ roundLength: ROUND_LENGTH, unbondingPeriod: 1n })
  await register()
  await stage.chain.protocol.nextRound()
  node = await stage.node(NODE, '', X, disk ? { dataDir: disk.path } : {})
})
after(async () => {
  await stage[Symbol.asyncDispose]()
  disk?.[Symbol.dispose]()
})

async function register(): Promise<void> {
  const serviceUri = `https://127.0.0.1:${await freePort()}`
  await stage.chain.protocol.bondAndRegister(X.key, { stake: 100n * LPT, serviceUri })
}

/** What the status says of the causes that last. */
async function causesSay(): Promise<string[]> {
  const { causes = [] } = await node.json<NodeStatus>('/status')
  return causes.map(({ says }) => says)
}

test('a node in good order tells nothing', async () => {
  const isCalled = async () => (await node.json<NodeStatus>('/status')).reward?.state === 'called'
  await stage.clock.hurry(() => eventually('reward is called', isCalled))
  await stage.pass(QUIET_MS)
  stage.assertNothingElse()
})

test('an account without ether: the reward is at risk in the middle of the round, and the balance runs out', async () => {
  const { anvil, protocol } = stage.chain
  await anvil.setBalance(X.address, 0n)
  await protocol.nextRound()
  await anvil.mine(Number(ROUND_LENGTH) / 2)
  const risk = await stage.begins(NODE, node, 'reward-at-risk')
  assert.match(risk.says, new RegExp(`reward of ${X.address} in round \\d+ is not called, and \\d+ of`))
  assert.match(risk.change, /livepeer orchestrator reward/)
  const low = await stage.begins(NODE, node, 'balance-low')
  assert.match(low.says, new RegExp(`${X.address} has 0 ETH, which lasts 0 days at what it spent`))
  await anvil.setBalance(X.address, 100n * ETHER)
  await stage.ends(NODE, node, 'reward-at-risk')
  await stage.ends(NODE, node, 'balance-low')
})

test('an orchestrator that is about to leave the active set, until it is registered again', async () => {
  const { protocol } = stage.chain
  const stake = await protocol.read<bigint>('BondingManager', 'pendingStake', [X.address, 0n])
  await protocol.call(X.key, 'BondingManager', 'unbond', [stake])
  const { change, says } = await stage.begins(NODE, node, 'orchestrator-inactive')
  assert.match(
    says,
    new RegExp(`the orchestrator ${X.address} (leaves the active set in round|is not registered)`),
  )
  assert.match(change, /livepeer orchestrator bond/)
  await register()
  await stage.ends(NODE, node, 'orchestrator-inactive')
})

test('an endpoint that cuts every connection, and one that stands still while the chain goes on', async () => {
  const { rpc } = stage
  stage.rpc = async () => undefined
  const cut = await stage.begins(NODE, node, 'rpc-stale')
  assert.match(cut.says, /no endpoint of the chain answers/)
  assert.ok((await causesSay()).includes(cut.says), 'in the words of the status')
  stage.rpc = rpc
  await stage.ends(NODE, node, 'rpc-stale')

  const last = await stage.chain.protocol.blockNumber()
  stage.rpc = async (request) =>
    asOf(request, Number(await request.forward('eth_blockNumber', [])) - Number(last))
  const stale = await stage.begins(NODE, node, 'rpc-stale')
  assert.match(stale.says, /there has been no block after \d+ for \d+ s/)
  stage.rpc = rpc
  await stage.ends(NODE, node, 'rpc-stale')
})

test('a disk that fills up', {
  skip: disk ? false : 'no tmpfs can be mounted here: this requires root',
}, async () => {
  const filler = join(disk!.path, 'filler')
  writeFileSync(filler, Buffer.alloc(40 * MEBIBYTE))
  const { says } = await stage.begins(NODE, node, 'disk-nearly-full')
  assert.ok(says.includes(disk!.path), says)
  rmSync(filler)
  await stage.ends(NODE, node, 'disk-nearly-full')
})

test('nothing else was told, and nothing twice', () => stage.assertNothingElse())

test('every rule has its fault in a whole node, here or in a cluster', () => {
  const texts = ['alerts.test.ts', 'alerts-cluster.test.ts'].map((name) =>
    readFileSync(new URL(`./${name}`, import.meta.url), 'utf8'),
  )
  for (const act of ['begins', 'ends']) {
    const found = [...texts.join('').matchAll(new RegExp(`stage\\.${act}\\(\\w+, \\w+, '([a-z-]+)'`, 'g'))]
    assert.deepEqual(new Set(found.map(([, code]) => code)), new Set(ALERT_CODES), act)
  }
})

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../devnet/free-port.ts'
import type { Resolve } from '../../src/lib/public-address.ts'
import { Rational } from '../../src/lib/rational.ts'
import { type ClusterNode, FEE, startClusterNodes, startGatewayAt } from '../fakes/cluster-nodes.ts'
import { type BalancerMode, hasNginx, startTestBalancer } from '../net/haproxy.ts'
import { HttpBalancer, type Mishap } from '../net/http-balancer.ts'

/** Nodes are killed this often, and are back after a part of it. */
const KILL_EVERY_MS = 1_200
const KILLS = 6
const STREAMS = 8
const NODES = 3

/** Our gateway and what lies between it and the nodes of one address. */

async function behind(nodeCount: number, ticketEv: bigint) {
  const balancer = await HttpBalancer.open()
  const cluster = await startClusterNodes(nodeCount, { ticketEv, url: balancer.url })
  balancer.ports = cluster.nodes.map(({ port }) => port)
  const gateway = await startGatewayAt(cluster, balancer.url)
  return {
    ...{ balancer, cluster, gateway },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await balancer[Symbol.asyncDispose]()
      await cluster[Symbol.asyncDispose]()
    },
  }
}

const mishaps: readonly [Mishap | null, resent: string[], refused: string[]][] = [
  [null, [], []],
  ['unseen', ['in-transit'], []],
  ['lost', ['in-transit', 'tickets-seen'], ['nonce-already-seen']],
  ['broken', ['in-transit'], []],
  ['empty', ['in-transit'], []],
  ['truncated', ['in-transit'], []],
  [502, ['in-transit'], []],
  [503, ['in-transit'], []],
  [504, ['in-transit', 'tickets-seen'], ['nonce-already-seen']],
]

for (const [mishap, resent, refused] of mishaps) {
  test(`${mishap}: the segment is sent again to the same address, no ticket is paid for it, nobody is suspended`, async () => {
    await using set = await behind(2, 3n * FEE)
    const { balancer, cluster, gateway } = set
    balancer.mishap = mishap
    for (let pushed = 0; pushed < 2; pushed++) assert.equal(await gateway.push(), null)
    assert.deepEqual([gateway.resent, cluster.refused], [resent, refused])
    for (const kind of ['orchestrator-suspended', 'segment-retried', 'attempt-failed'] as const)
      assert.equal(gateway.countOf(kind), 0, kind)
    assert.equal(gateway.sent.floor(), 6n * FEE, 'whatever the mishap')
    assert.equal(gateway.sent.cmp(cluster.credited), 0, 'all that was sent is credited')
    assert.equal(gateway.accepted.cmp(cluster.credited), 0, 'and known to be')
  })
}

for (const [mishap, isCharged] of [
  ['unseen', false],
  ['empty', true],
  ['lost', true],
  [504, true],
] as const) {
  test(`${mishap} for every other of 20 segments: all are served, and paid for ${isCharged ? 'as often as they were transcoded' : 'once'}`, async () => {
    await using set = await behind(3, FEE)
    const { balancer, cluster, gateway } = set
    for (let pushed = 0; pushed < 20; pushed++) {
      if (pushed % 2 === 0) balancer.mishap = mishap
      assert.equal(await gateway.push(), null, String(pushed))
    }
    for (const kind of ['orchestrator-suspended', 'segment-retried'] as const)
      assert.equal(gateway.countOf(kind), 0, kind)
    const transcoded = isCharged ? 30 : 20
    const worth = Rational.of(BigInt(transcoded) * FEE)
    assert.ok(gateway.sent.cmp(worth.add(Rational.of(3n * FEE))) <= 0, `${gateway.sent.toFixed(0)} wei`)
    assert.equal(gateway.sent.cmp(cluster.credited), 0)
    assert.deepEqual(gateway.accounts.overpaid, [])
  })
}

for (const mishap of ['unseen', 'lost', 'broken', 'empty', 'truncated', 502, 503, 504] as const) {
  test(`${mishap} for every segment, on purpose: it is sent again once for a payment, and not paid again`, async () => {
    await using set = await behind(1, FEE)
    const { balancer, cluster, gateway } = set
    balancer.always = mishap
    const failures: (string | null)[] = []
    while (gateway.accounts.overpaid.length === 0 && failures.length < 10) failures.push(await gateway.push())
    assert.equal(gateway.accounts.overpaid.length, 1, 'banned')
    assert.ok(!failures.includes(null))
    const payments = gateway.countOf('payment-sent')
    assert.ok(payments <= 9, `${payments} payments`)
    assert.ok(gateway.sent.floor() <= 9n * 2n * FEE, `${gateway.sent.toFixed(0)} wei`)
    assert.ok(cluster.credited.cmp(gateway.sent) <= 0)
    assert.ok(balancer.segments <= 4 * payments, `${balancer.segments} submissions`)
  })
}

/** Resolves any name to the addresses of all nodes, each time beginning with another one. */
function inTurn(): Resolve {
  let turn = 0
  return (_, __, callback) => {
    const first = turn++
    const addresses = Array.from({ length: NODES }, (___, i) => `127.0.0.${1 + ((first + i) % NODES)}`)
    callback(
      null,
      addresses.map((address) => ({ address, family: 4 })),
    )
  }
}

/** Streams without a pause through a balancer, while `meanwhile` happens to the nodes. */
async function streamsBehind(
  t: TestContext,
  mode: BalancerMode | 'dns',
  meanwhile: (nodes: readonly ClusterNode[], how: { isOver(): boolean; isFelt(): boolean }) => Promise<void>,
) {
  const port = await freePort()
  const isNamed = mode === 'dns'
  const url = `https://${isNamed ? 'nodes.example' : '127.0.0.1'}:${port}`
  await using cluster = await startClusterNodes(NODES, {
    ticketEv: FEE,
    url,
    ...(isNamed && { samePort: port }),
  })
  cluster.work.ms = 100
  const nodes = cluster.nodes.map((node) => node.port)
  const place = { port, nodes, folder: cluster.folder }
  await using balancer = isNamed ? null : await startTestBalancer({ mode, ...place })
  await using gateway = await startGatewayAt(cluster, url, isNamed ? { resolve: inTurn() } : {})
  let isOver = false
  const failures: string[] = []
  let served = 0
  const streams = Array.from({ length: STREAMS }, async (_, stream) => {
    while (!isOver) {
      const failure = await gateway.push(`stream${stream}`)
      if (failure === null) served++
      else failures.push(failure)
      isOver ||= failure !== null
    }
  })
  await sleep(KILL_EVERY_MS)
  await meanwhile(cluster.nodes, { isOver: () => isOver, isFelt: () => gateway.resent.length > 0 })
  isOver = true
  await Promise.all(streams)
  const [resent, refused] = [tally(gateway.resent), tally(cluster.refused)]
  t.diagnostic(`${balancer?.what ?? 'a name'}: ${served} served, sent again: ${JSON.stringify(resent)}`)
  t.diagnostic(`payments refused: ${JSON.stringify(refused)}`)
  assert.deepEqual(failures, [])
  assert.ok(cluster.credited.cmp(gateway.accepted) >= 0 && cluster.credited.cmp(gateway.sent) <= 0)
  // A segment that two kills strike is retried: on a slow machine there are some.
  return { refused, resent, retried: gateway.countOf('segment-retried') }
}

/** All of 127.0.0.0/8 is this machine, but on macOS. */
const NO_LOOPBACK_NET = process.platform === 'darwin' ? 'this machine has one loopback address' : false
const NGINX_SKIP = hasNginx() ? false : 'nginx is not installed, or passes no connections through'
for (const [mode, what, skip] of [
  ['tcp', 'HAProxy in tcp mode', false],
  ['http', 'HAProxy in http mode', false],
  ['nginx', 'nginx', NGINX_SKIP],
  ['dns', 'a name with their addresses', NO_LOOPBACK_NET],
] as const) {
  test(`behind ${what} nodes are killed one after the other: no segment of ${STREAMS} streams is lost`, {
    skip,
  }, async (t) => {
    const { refused } = await streamsBehind(t, mode, async (nodes, { isFelt, isOver }) => {
      // On a slow machine a kill may strike between two segments.
      for (let kill = 0; (kill < KILLS || (!isFelt() && kill < 4 * KILLS)) && !isOver(); kill++) {
        const node = nodes[kill % nodes.length]!
        await node.kill()
        await sleep(KILL_EVERY_MS / 2)
        await node.revive()
        await sleep(KILL_EVERY_MS / 2)
      }
      assert.ok(isFelt())
    })
    for (const reason of Object.keys(refused)) assert.equal(reason, 'nonce-already-seen')
  })

  test(`behind ${what} nodes leave one after the other: no segment is lost, sent again or retried`, {
    skip,
  }, async (t) => {
    const { refused, resent, retried } = await streamsBehind(t, mode, async (nodes, { isOver }) => {
      for (let leave = 0; leave < KILLS && !isOver(); leave++) {
        const node = nodes[leave % nodes.length]!
        await node.leave()
        await sleep(KILL_EVERY_MS / 2)
        await node.comeBack()
        await sleep(KILL_EVERY_MS / 2)
      }
    })
    assert.deepEqual({ refused, resent, retried }, { refused: {}, resent: {}, retried: 0 })
  })
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1
  return counts
}

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { EVERY_EVENT } from '../../test/fakes/every-event.ts'
import { settingsOf } from '../../test/fakes/settings.ts'
import { allValues, has, labelsOf, METRICS, reportersOf } from '../io/http/metrics-table.ts'
import { ManualClock } from '../lib/clock.ts'
import { seededDice } from '../lib/dice.ts'
import { silentLog } from '../lib/log.ts'
import { NodeAlertFacts } from './alert-facts.ts'
import type { ChainAccess } from './parts/chain.ts'
import { Parts } from './parts.ts'
import { readingsOf } from './readings.ts'
import { StatusFacts } from './status/facts.ts'

interface Family {
  readonly type: string
  readonly labels: readonly string[]
  readonly flagLabels?: readonly string[]
  readonly buckets?: readonly string[]
  readonly roles: readonly string[]
  readonly constantAt?: readonly string[]
}

const recorded = JSON.parse(
  readFileSync(new URL('../../test/vectors/metrics.json', import.meta.url), 'utf8'),
) as { readonly families: Readonly<Record<string, Family>> }

const CHAIN = '-network arbitrum-one-mainnet -ethUrl http://127.0.0.1:1 -maxGasPrice 100'
const SERVED = '-serviceAddr node.example:8935'
const ORCHESTRATOR = `-orchestrator ${CHAIN} ${SERVED} -pricePerUnit 1`

/** The recorded roles, by the flags that make a node one of them. */
const ROLES: Readonly<Record<string, string>> = {
  gateway: `-gateway ${CHAIN} -orchAddr o.example:8935 -maxPricePerUnit 9`,
  orchestrator: `${ORCHESTRATOR} -orchSecret s -redeemerAddr r.example:8935`,
  orchestratorWithTranscoder: `${ORCHESTRATOR} -transcoder`,
  transcoder: '-transcoder -orchSecret s -orchAddr o.example:8935',
  redeemer: `-redeemer ${CHAIN}`,
  reward: CHAIN,
  offchainGateway: '-gateway -orchAddr o.example:8935',
  offchainOrchestrator: `-orchestrator -transcoder ${SERVED}`,
}

/** Held by the parts, of which nothing is started. */
const access = {
  wallet: { address: `0x${'1'.repeat(40)}` },
  ...{ rpc: { health: () => [] }, chainId: 42161n, addresses: {} },
} as unknown as ChainAccess

/** The metrics of a node that is not started. */
function metricsOf(flags: string) {
  const settings = settingsOf(`${flags} -monitor`)
  const env = {
    ...{ version: '1.2.3', clock: new ManualClock(), dice: seededDice('metrics'), log: silentLog, cpus: 2 },
  }
  const parts = new Parts(settings, settings.chain ? access : null, env)
  const metrics = parts.core.metrics!
  const facts = new StatusFacts(parts, env)
  metrics.observe(readingsOf(parts, facts, new NodeAlertFacts(parts, facts)))
  const { duties } = parts
  const reporters = reportersOf({ roles: settings.roles, duties, isOnChain: settings.chain !== null })
  const tell = parts.core.env.events.tell.bind(parts.core.env.events)
  const { causes } = parts.core.env
  return { metrics, causes, tell, clock: env.clock, reporters }
}

/** By name, the type of each metric and the label names of its series; readings that wait for the chain are left out. */
async function familiesOf({ clock, metrics }: ReturnType<typeof metricsOf>) {
  const asked = metrics.text()
  await clock.wind(10_000)
  const { text } = await asked
  const families = new Map<string, { readonly type: string; readonly labels: Set<string> }>()
  for (const [, name, type] of text.matchAll(/^# TYPE livepeer_(\w+) (\w+)$/gm)) {
    families.set(name!, { type: type!, labels: new Set() })
  }
  for (const [, name, labels] of text.matchAll(/^livepeer_(\w+)\{(.*)\} /gm)) {
    const family = families.get(name!) ?? families.get(name!.replace(/_(sum|count|bucket)$/, ''))!
    const names = [...labels!.matchAll(/(\w+)="/g)]
      .map(([, label]) => label!)
      .filter((label) => label !== 'le')
    family.labels.add(names.sort().join())
  }
  return families
}

test('a node has every metric of the table that it can move, and no other, and series whose labels are known', async () => {
  for (const flags of [...Object.values(ROLES), `${CHAIN} -initializeRound`]) {
    const node = metricsOf(`${flags} -metricsPerStream`)
    const names = Object.entries(METRICS).filter(([, row]) => has(row, node.reporters))
    const found = await familiesOf(node)
    assert.deepEqual([...found.keys()].sort(), names.map(([name]) => name).sort(), flags)
    const isKnown = (name: string) =>
      labelsOf(METRICS[name]!, { perStream: true, clientIp: false }).every(
        (label) => (allValues(METRICS[name]!, label, node.reporters) ?? []).length > 0,
      )
    const bare = names.filter(
      ([name, row]) => 'on' in row && isKnown(name) && found.get(name)!.labels.size === 0,
    )
    assert.deepEqual(bare, [], flags)
  }
})

suite('metrics as recorded at the Go node (operations.md §6)', () => {
  for (const [role, flags] of Object.entries(ROLES)) {
    const expected = Object.entries(recorded.families).filter(([, { roles }]) => roles.includes(role))

    test(`a node like the recorded ${role} has them, but for those that it cannot move`, async () => {
      const found = await familiesOf(metricsOf(`${flags} -metricsPerStream`))
      const missing = expected.filter(([name]) => !found.has(name)).map(([name]) => name)
      const reasons = expected
        .filter(([, { constantAt }]) => constantAt?.includes(role))
        .map(([name]) => name)
      assert.deepEqual(missing.sort(), reasons.sort())
      for (const [name, { type }] of expected) assert.equal(found.get(name)?.type ?? type, type, name)
    })

    for (const [what, extra, withFlags] of [
      ['', '', []],
      [' with -metricsPerStream -metricsClientIP', ' -metricsPerStream -metricsClientIP', ['flagLabels']],
    ] as const) {
      test(`the series of a ${role}${what} have the recorded labels`, async () => {
        const node = metricsOf(`${flags}${extra}`)
        for (const event of EVERY_EVENT) node.tell(event)
        const found = await familiesOf(node)
        for (const [name, family] of expected) {
          const labels = [...family.labels, ...(withFlags.length > 0 ? (family.flagLabels ?? []) : [])]
          const series = found.get(name)?.labels
          if (!series || (series.size === 0 && 'read' in METRICS[name]!)) continue
          assert.deepEqual([...series], [labels.sort().join()], name)
        }
      })
    }
  }

  test('buckets are the recorded ones', () => {
    for (const [name, { buckets }] of Object.entries(recorded.families)) {
      const row = METRICS[name]
      if (!row) continue
      const own = row.type === 'histogram' ? [...row.buckets.map(String), '+Inf'] : undefined
      assert.deepEqual(own, buckets, name)
    }
  })

  test('every recorded metric is there, and those that were never seen too', () => {
    const unseen = ['http_client_timeout_2', 'kafka_event_send_errors', 'fast_verification_done']
    const names = [...Object.keys(recorded.families), ...unseen, 'fast_verification_failed']
    assert.deepEqual(
      names.filter((name) => !(name in METRICS)),
      [],
    )
  })
})

test('the causes that a node can meet are there from the start, and no others', async () => {
  const { metrics, clock } = metricsOf(ROLES.redeemer!)
  const asked = metrics.text()
  await clock.wind(10_000)
  const { text } = await asked
  for (const name of ['problem', 'problem_occurrences_total']) {
    assert.match(text, new RegExp(`^livepeer_${name}\\{cause="no-ether".* 0$`, 'm'))
    assert.doesNotMatch(text, new RegExp(`^livepeer_${name}\\{cause="no-deposit"`, 'm'))
  }
})

test('in a cluster each amount of money is counted in one series', async () => {
  const cluster = ['gateway', 'orchestrator', 'transcoder', 'redeemer', 'reward']
  const found = await Promise.all(cluster.map((role) => familiesOf(metricsOf(ROLES[role]!))))
  const money = [
    ...['tickets_sent', 'ticket_value_sent', 'tickets_recv', 'ticket_value_recv', 'winning_tickets_recv'],
    ...['value_redeemed', 'redemption_fees_wei_total'],
  ]
  for (const name of money) {
    const tellers = cluster.filter((_, i) => found[i]!.has(name))
    assert.equal(tellers.length, 1, `${name} at ${tellers}`)
  }
})

test('what is ours follows the conventions of Prometheus', () => {
  for (const [name, row] of Object.entries(METRICS)) {
    const isOfPeers = /^(http_client_timeout_2|kafka_event_send_errors|fast_verification_\w+)$/.test(name)
    if (name in recorded.families || isOfPeers) continue
    assert.equal(name.endsWith('_total'), row.type === 'counter', `${name}: _total is for counters`)
    assert.doesNotMatch(name, /milli|gwei|_ms\b|minutes|hours/, `${name}: base units only`)
    assert.match(name, /^[a-z][a-z0-9_]*$/)
    assert.doesNotMatch(row.help, /\.$/, name)
    assert.ok(labelsOf(row, { perStream: true, clientIp: true }).every((label) => /^[a-z_]+$/.test(label)))
  }
})

test('a cause that lasts is 1, and 0 before and after', async () => {
  const { causes, clock, metrics } = metricsOf(ROLES.redeemer!)
  const shown = async () => {
    const asked = metrics.text()
    await clock.wind(10_000)
    return /^livepeer_problem\{.*cause="no-ether".*\} (\d)$/m.exec((await asked).text)?.[1]
  }
  assert.equal(await shown(), '0')
  const account = `0x${'1'.repeat(40)}` as const
  const facts = { account, balanceWei: 0n, neededWei: 1n, calls: 10n, gasPriceWei: 1n }
  causes.met({ code: 'no-ether', facts })
  assert.equal(await shown(), '1')
  causes.over('no-ether')
  assert.equal(await shown(), '0')
})

test('without -monitor nothing is counted', () => {
  const settings = settingsOf(ROLES.transcoder!)
  const env = {
    ...{ version: '1', clock: new ManualClock(), dice: seededDice('metrics'), log: silentLog, cpus: 2 },
  }
  assert.equal(new Parts(settings, null, env).core.metrics, null)
})

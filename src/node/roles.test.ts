import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsOf } from '../../test/fakes/settings.ts'
import { ManualClock } from '../lib/clock.ts'
import { seededDice } from '../lib/dice.ts'
import { silentLog } from '../lib/log.ts'
import type { ChainAccess } from './parts/chain.ts'
import { Parts } from './parts.ts'
import { servicesOf } from './roles.ts'

const CHAIN = '-network arbitrum-one-mainnet -ethUrl http://127.0.0.1:1'
const OFFCHAIN = '-serviceAddr node.example:8935'
const ORCHESTRATOR = `-orchestrator ${CHAIN} ${OFFCHAIN}`
const PRICED = `${ORCHESTRATOR} -pricePerUnit 1`

/** Only held by the parts, since nothing is started. */
const access = {
  ...{ wallet: { address: `0x${'1'.repeat(40)}` }, rpc: {}, chainId: 42161n, addresses: {} },
} as unknown as ChainAccess

/** The names of what a node of these flags starts, in that order. */
function started(line: string): string[] {
  const settings = settingsOf(line)
  const parts = new Parts(settings, settings.chain ? access : null, {
    ...(settings.store && { nodeId: 'a'.repeat(16) }),
    ...{ version: '1', clock: new ManualClock(), dice: seededDice('order'), log: silentLog, cpus: 2 },
  })
  return servicesOf(parts).map(({ name }) => name)
}

const FOLLOWS = ['store', 'chain watcher', 'rounds']
const SERVES = ['auth-token secret', 'orchestrator', 'service endpoint']
const CHECKED = [...SERVES, 'orchestrator client', 'self-check']
const JUDGES = [...FOLLOWS, 'activity', 'gas price']
const TAKES = ['ticket secret', 'ticket recipient']
const REDEEMS = ['senders', 'transactions', 'redeemer', 'ether check', 'registration', ...TAKES]
const HANDS_OVER = ['redeemers', 'senders', 'redeemer outbox', 'remote float', 'registration', ...TAKES]
const PAYS = ['orchestrator client', ...FOLLOWS, 'senders', 'media']
const SENDS = ['gas price', 'transactions']
/** What every gateway runs after what its source of orchestrators needs. */
const GATEWAY = ['gateway', 'orchestrator polls', 'gateway HTTP', 'gateway RTMP']
/** What elects the leader of an account. */
const LEADS = [
  'session with the store',
  'leadership of send/0x1111111111111111111111111111111111111111',
] as const

for (const [line, order] of [
  ['-gateway -orchAddr a', ['orchestrator client', 'media', 'recorder', ...GATEWAY]],
  [
    '-gateway -orchAddr a -recordStore /r -recordRetention 24h',
    ['folders of stores', 'orchestrator client', 'media', 'recorder', 'retention of recordings', ...GATEWAY],
  ],
  [
    '-gateway -orchAddr a -metadataQueueUri amqp://q -monitor -kafkaBootstrapServers k -kafkaGatewayTopic t',
    // First, so that they end last and send what the others tell at their end.
    [
      ...['events to AMQP', 'events to KAFKA', 'orchestrator client', 'media'],
      ...['recorder', 'gateway', 'orchestrator polls', 'gateway HTTP'],
      'gateway RTMP',
    ],
  ],
  [
    '-gateway -orchWebhookUrl http://a',
    ['orchestrator client', 'media', 'orchestrator webhook', 'recorder', ...GATEWAY],
  ],
  [
    '-gateway -orchAddr a -authWebhookUrl http://a',
    [...['orchestrator client', 'media', 'authorisation webhook'], 'recorder', ...GATEWAY],
  ],
  [`-gateway ${CHAIN} -reward=false`, [...PAYS, 'orchestrator pool', 'recorder', ...GATEWAY, ...SENDS]],
  [`-gateway ${CHAIN}`, [...PAYS, 'orchestrator pool', 'recorder', ...GATEWAY, ...SENDS, 'reward']],
  [`-gateway ${CHAIN} -orchAddr a`, [...PAYS, 'recorder', ...GATEWAY, ...SENDS, 'reward']],
  [
    `-gateway ${CHAIN} -reward=false -maxPricePerUnit 1USD`,
    [...PAYS, 'orchestrator pool', 'price feed', 'recorder', ...GATEWAY, ...SENDS],
  ],
  [
    `-gateway ${CHAIN} -initializeRound`,
    [...PAYS, 'orchestrator pool', 'recorder', ...GATEWAY, ...SENDS, 'round initialiser', 'reward'],
  ],
  [
    '-transcoder -orchSecret s -orchAddr a',
    ['media', 'capacity', 'orchestrator client', 'transcoder client', 'standalone transcoder'],
  ],
  [`-orchestrator -transcoder ${OFFCHAIN}`, ['media', 'capacity', 'transcoders', 'store', ...CHECKED]],
  [`-orchestrator -orchSecret s ${OFFCHAIN}`, ['transcoders', 'store', ...CHECKED]],
  [
    `-orchestrator -orchSecret s ${OFFCHAIN} -authWebhookUrl http://a`,
    ['transcoders', 'webhook for gateways', 'store', ...CHECKED],
  ],
  [
    `-orchestrator -transcoder -orchSecret s ${OFFCHAIN} -startupAvailabilityCheck=false`,
    ['media', 'capacity', 'transcoders', 'store', ...SERVES],
  ],
  [
    `${PRICED} -transcoder`,
    ['media', 'capacity', 'transcoders', ...JUDGES, ...REDEEMS, ...CHECKED, 'reward'],
  ],
  [`${PRICED} -orchSecret s -reward=false`, ['transcoders', ...JUDGES, ...REDEEMS, ...CHECKED]],
  [
    `${PRICED} -orchSecret s -initializeRound -reward`,
    ['transcoders', ...JUDGES, ...REDEEMS, ...CHECKED, 'round initialiser', 'reward'],
  ],
  [
    `${PRICED} -orchSecret s -importTicketQueue q`,
    ['transcoders', ...JUDGES, 'ticket import', ...REDEEMS, ...CHECKED, 'reward'],
  ],
  [
    `${ORCHESTRATOR} -pricePerUnit 1USD -orchSecret s -redeemerAddr r:8936 -reward=false`,
    [
      ...['transcoders', ...JUDGES, 'redeemers', 'senders', 'redeemer outbox', 'remote float'],
      ...['registration', 'ticket secret', 'price feed', 'ticket recipient', ...CHECKED, 'transactions'],
    ],
  ],
  [
    `${PRICED} -transcoder -redeemerAddr r:8936`,
    [
      ...['media', 'capacity', 'transcoders', ...JUDGES, ...HANDS_OVER, ...CHECKED],
      ...['transactions', 'reward'],
    ],
  ],
  [
    `${PRICED} -orchSecret s -redeemerAddr r:8936 -importTicketQueue q -initializeRound -reward=false`,
    [
      ...['transcoders', ...JUDGES, 'ticket import', ...HANDS_OVER, ...CHECKED],
      ...['transactions', 'round initialiser'],
    ],
  ],
  [
    `-redeemer ${CHAIN} -reward=false`,
    [
      ...['gas price', ...FOLLOWS, 'senders', 'transactions', 'redeemer', 'ether check', 'registration'],
      ...['redeemer desk', 'redeemer'],
    ],
  ],
  [
    `-redeemer ${CHAIN} -importTicketQueue q -initializeRound`,
    [
      ...['gas price', 'store', 'ticket import', 'chain watcher', 'rounds', 'senders', 'transactions'],
      ...['redeemer', 'ether check', 'registration', 'redeemer desk', 'redeemer'],
      ...['round initialiser', 'reward'],
    ],
  ],
  [CHAIN, ['gas price', ...FOLLOWS, 'transactions', 'reward']],
  [
    `-orchestrator -transcoder ${OFFCHAIN} -store postgres://db/x -startupAvailabilityCheck=false`,
    [
      ...['media', 'capacity', 'transcoders', 'store', 'members', 'auth-token secret', 'orchestrator'],
      ...[
        'cluster secret',
        'sibling client',
        'siblings',
        'successors',
        'lapsed holds',
        'service endpoint',
        'opening for siblings',
        'load evening',
      ],
    ],
  ],
  [
    `${CHAIN} -store postgres://db/x`,
    ['gas price', 'store', 'members', 'chain watcher', 'rounds', ...LEADS, 'transactions', 'reward'],
  ],
  [
    `${CHAIN} -store postgres://db/x -redeemer -reward=false`,
    [
      ...['gas price', 'store', 'members', 'chain watcher', 'rounds', 'senders', ...LEADS, 'transactions'],
      ...['open tickets', 'leadership of redeem', 'redeemer', 'ether check', 'registration'],
      ...['redeemer desk', 'redeemer'],
    ],
  ],
  [`${CHAIN} -initializeRound -reward=false`, [...FOLLOWS, ...SENDS, 'round initialiser']],
  [`${CHAIN} -initializeRound -reward`, [...FOLLOWS, ...SENDS, 'round initialiser', 'reward']],
] as const) {
  test(`livepeer ${line} starts ${order.length} services, each after those that it needs`, () => {
    assert.deepEqual(started(line), order)
  })
}

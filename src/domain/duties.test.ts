import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hasStore, planOf, REGISTERED, SETUPS, type Setup } from '../../devnet/setups.ts'
import { settingsOf as settingsIn } from '../../test/fakes/settings.ts'
import type { Settings } from '../config/settings.ts'
import { bitsOf, defaultCapabilities } from './capabilities.ts'
import {
  accountNeedsOf,
  type Duties,
  dutiesOf,
  feedCurrenciesOf,
  maxSessionsOf,
  offered,
  recipientOf,
  redeemingRank,
  sendingRank,
  serviceUriOf,
  trialPictureOf,
  withoutDataFolder,
} from './duties.ts'

const OWN = `0x${'1'.repeat(40)}` as const
const OTHER = `0x${'2'.repeat(40)}` as const
const CHAIN = '-network arbitrum-one-mainnet -ethUrl http://127.0.0.1:1'
const SERVICE = '-serviceAddr o.example:8935'

const PRICES = JSON.stringify({
  gateways: [
    { ethaddress: OWN, priceperunit: 1, currency: 'eur', pixelsperunit: 1 },
    { ethaddress: OTHER, priceperunit: 1, currency: 'USD', pixelsperunit: 1 },
  ],
})

const settingsOf = (line: string) => settingsIn(line, (path) => (path === 'prices' ? PRICES : null))

/** The names of the duties that hold. */
function dutiesNamed(settings: Settings): (keyof Duties)[] {
  const duties = dutiesOf(settings)
  return (Object.keys(duties) as (keyof Duties)[]).filter((name) => duties[name])
}

const STREAMS = ['takesSessions', 'handlesMedia'] as const
const ENGINE = [...STREAMS, 'transcodes'] as const
const PAYING = ['discoversOnChain', 'sendsTickets'] as const
const REDEEMING = ['keepsTickets', 'redeems'] as const
const HANDING = ['keepsTickets', 'handsOver'] as const
const REWARDING = ['rewards', 'sendsTransactions', 'followsGasPrice'] as const
const REDEEMER = [...REDEEMING, 'servesOrchestrators'] as const
const ROUNDS = ['initializesRounds', 'sendsTransactions', 'followsGasPrice'] as const

describe('the duties of a process', () => {
  const cases: readonly (readonly [line: string, duties: readonly (keyof Duties)[]])[] = [
    ['-gateway -orchAddr o', [...STREAMS, 'mayKeepNothing']],
    [`-gateway ${CHAIN}`, [...STREAMS, ...PAYING, ...REWARDING, 'mayKeepNothing']],
    [`-gateway ${CHAIN} -reward=false`, [...STREAMS, ...PAYING, 'mayKeepNothing']],
    [`-gateway ${CHAIN} -reward=false -orchAddr o`, [...STREAMS, 'sendsTickets', 'mayKeepNothing']],
    [
      `-gateway ${CHAIN} -reward=false -orchWebhookUrl http://o`,
      [...STREAMS, 'sendsTickets', 'mayKeepNothing'],
    ],
    [`-gateway ${CHAIN} -reward=false -initializeRound`, [...STREAMS, ...PAYING, ...ROUNDS]],
    ['-transcoder -orchSecret s -orchAddr o', [...ENGINE, 'transcodesElsewhere']],
    [`-orchestrator -transcoder ${SERVICE}`, [...ENGINE, 'checksItself']],
    [`-orchestrator -transcoder -orchSecret s ${SERVICE}`, [...ENGINE, 'takesTranscoders', 'checksItself']],
    [
      `-orchestrator -orchSecret s ${SERVICE} -startupAvailabilityCheck=false`,
      ['takesSessions', 'takesTranscoders'],
    ],
    ['-orchestrator -orchSecret s -serviceAddr none -nodes a', ['takesSessions', 'takesTranscoders']],
    [
      `-orchestrator -transcoder ${CHAIN} ${SERVICE} -pricePerUnit 1`,
      [...ENGINE, 'checksItself', ...REDEEMING, ...REWARDING, 'showsRecipient'],
    ],
    [
      `-orchestrator -orchSecret s ${CHAIN} ${SERVICE} -pricePerUnit 1 -reward=false`,
      [
        ...(['takesSessions', 'takesTranscoders', 'checksItself'] as const),
        ...([...REDEEMING, 'sendsTransactions', 'followsGasPrice', 'showsRecipient'] as const),
      ],
    ],
    [
      `-orchestrator -transcoder ${CHAIN} ${SERVICE} -pricePerUnit 1 -redeemerAddr r -reward=false`,
      [...ENGINE, 'checksItself', ...HANDING, 'followsGasPrice', 'showsRecipient'],
    ],
    [
      `-orchestrator -transcoder ${CHAIN} ${SERVICE} -pricePerUnit 1 -redeemerAddr r -reward=false -initializeRound`,
      [...ENGINE, 'checksItself', ...HANDING, ...ROUNDS, 'showsRecipient'],
    ],
    [`-redeemer ${CHAIN}`, [...REDEEMER, ...REWARDING, 'showsRecipient']],
    [
      `-redeemer ${CHAIN} -reward=false`,
      [...REDEEMER, 'sendsTransactions', 'followsGasPrice', 'showsRecipient'],
    ],
    [
      `-redeemer ${CHAIN} -reward=false -redeemAfter 1h`,
      [...REDEEMER, 'redeemsLate', 'sendsTransactions', 'followsGasPrice', 'showsRecipient'],
    ],
    [`-redeemer ${CHAIN} -reward -initializeRound`, [...REDEEMER, ...REWARDING, ...ROUNDS, 'showsRecipient']],
    [CHAIN, [...REWARDING, 'onlyRewards', 'showsRecipient']],
    [`${CHAIN} -initializeRound`, [...REWARDING, ...ROUNDS]],
    [`${CHAIN} -initializeRound -reward`, [...REWARDING, ...ROUNDS, 'showsRecipient']],
    [`${CHAIN} -initializeRound -reward=false`, ROUNDS],
  ]
  for (const [line, duties] of cases)
    it(line, () => assert.deepEqual(dutiesNamed(settingsOf(line)).sort(), [...new Set(duties)].sort()))

  it('are all in the table', () => {
    const named = new Set(cases.flatMap(([, duties]) => duties))
    assert.deepEqual([...named].sort(), Object.keys(dutiesOf(settingsOf(CHAIN))).sort())
  })
})

describe('in a cluster', () => {
  const rank = (line: string, hasRedeemer = false) => {
    const duties = dutiesOf(settingsOf(line))
    return [redeemingRank(duties, hasRedeemer), sendingRank(duties, hasRedeemer)]
  }
  const orchestrator = `-orchestrator -transcoder ${CHAIN} ${SERVICE} -pricePerUnit 1`

  it('a redeemer redeems, and an orchestrator only while there is none', () => {
    assert.deepEqual(rank(`-redeemer ${CHAIN}`, true), [2, 9])
    assert.deepEqual(rank(orchestrator), [1, 5])
    assert.deepEqual(rank(orchestrator, true), [null, 1])
    assert.deepEqual(rank(`${orchestrator} -redeemerAddr r`), [null, 1])
  })

  it('of nodes with one account the one that does most sends', () => {
    assert.deepEqual(rank(`-redeemer ${CHAIN} -reward=false`), [2, 8])
    assert.deepEqual(rank(`-redeemer ${CHAIN} -redeemAfter 1h`), [1, 5])
    assert.deepEqual(rank(`${CHAIN} -initializeRound -reward`), [null, 3])
    assert.deepEqual(rank(CHAIN), [null, 1])
    assert.deepEqual(rank(`${orchestrator} -reward=false`, true), [null, null])
  })
})

describe('the duties of each process of a setup', () => {
  const redeemer = [...REDEEMER, ...REWARDING, 'showsRecipient'] as const
  const orchestrator = [...ENGINE, 'checksItself', ...HANDING, ...REWARDING, 'showsRecipient'] as const
  const reward = [...REWARDING, 'onlyRewards', 'showsRecipient'] as const
  const clustered = [...ENGINE, 'checksItself', ...REDEEMING, ...REWARDING, 'showsRecipient'] as const
  const cases: Readonly<Record<string, readonly (keyof Duties)[]>> = {
    'single/orchestrator': [...ENGINE, ...REDEEMING, ...REWARDING, 'checksItself', 'showsRecipient'],
    'redeemer/redeemer': redeemer,
    'redeemer/orchestrator': orchestrator,
    'service-node/service-node': redeemer,
    'service-node/orchestrator-1': orchestrator,
    'service-node/orchestrator-2': orchestrator,
    'cold/redeemer': redeemer,
    'cold/reward': reward,
    'cold/orchestrator-1': orchestrator,
    'cold/orchestrator-2': orchestrator,
    'multi/redeemer': redeemer,
    'multi/reward': reward,
    'multi/orchestrator-1': orchestrator,
    'multi/transcoder': [...ENGINE, 'transcodesElsewhere'],
    'multi/orchestrator-2': [
      ...(['takesSessions', 'takesTranscoders', 'checksItself'] as const),
      ...([...HANDING, ...REWARDING, 'showsRecipient'] as const),
    ],
    'cluster/redeemer-1': redeemer,
    'cluster/redeemer-2': redeemer,
    'cluster/reward-1': reward,
    'cluster/reward-2': reward,
    'cluster/orchestrator-1': clustered,
    'cluster/orchestrator-2': clustered,
    'cluster/orchestrator-3': clustered,
  }
  const planned = SETUPS.flatMap((setup) =>
    planOf(setup).map((node) => ({ name: `${setup}/${node.name}`, node })),
  )

  for (const { name, node } of planned) {
    it(name, () => {
      const addresses = Object.fromEntries(planned.map((other) => [other.node.name, 'h.example:8935']))
      const store = hasStore(name.split('/')[0] as Setup) ? 'postgres://db/x' : null
      const flags = node.flags({ registered: OTHER, addresses, orchSecret: 's', store })
      // A registered orchestrator advertises what the chain says, which is known only once the node has asked it.
      const isAdvertised = node.kind === 'orchestrator' && (node.account === REGISTERED || store !== null)
      const advertised = isAdvertised ? SERVICE.split(' ') : []
      const priced = node.kind === 'orchestrator' ? ['-pricePerUnit', '1'] : []
      const chain = node.account === null ? [] : CHAIN.split(' ')
      const guarded = node.kind === 'redeemer' ? ['-redeemerSecret', 's'] : []
      const line = [...flags, ...advertised, ...priced, ...guarded, ...chain].join(' ')
      assert.deepEqual(dutiesNamed(settingsOf(line)).sort(), [...new Set(cases[name])].sort())
    })
  }

  it('covers every process', () =>
    assert.deepEqual(planned.map(({ name }) => name).sort(), Object.keys(cases).sort()))
})

describe('what else settings imply', () => {
  for (const [line, capacity, expected] of [
    ['-gateway -orchAddr o -maxSessions 3', 0, 3],
    [`-orchestrator -orchSecret s ${SERVICE}`, 4, 4],
    [`-orchestrator -orchSecret s ${SERVICE} -maxSessions 3`, 4, 3],
    [`-orchestrator -orchSecret s ${SERVICE} -maxSessions auto`, 400, 400],
    ['-transcoder -orchSecret s -orchAddr o -maxSessions 3', 2, 2],
    ['-transcoder -orchSecret s -orchAddr o -maxSessions auto', 7, 7],
  ] as const) {
    it(`${line} takes ${expected} sessions with a capacity of ${capacity}`, () =>
      assert.equal(maxSessionsOf(settingsOf(line), capacity), expected))
  }

  for (const [line, expected] of [
    [`-orchestrator -orchSecret s ${SERVICE}`, 'https://o.example:8935'],
    ['-orchestrator -orchSecret s -serviceAddr none -nodes a', ''],
    [`-orchestrator -orchSecret s ${CHAIN} -pricePerUnit 1`, ''],
    ['-gateway -orchAddr o', ''],
  ] as const) {
    it(`${line} advertises ${expected || 'no address'}`, () =>
      assert.equal(serviceUriOf(settingsOf(line)), expected))
  }

  it('tickets pay the registered orchestrator, or else the own account', () => {
    assert.equal(recipientOf(settingsOf(`-redeemer ${CHAIN}`), OWN), OWN)
    assert.equal(recipientOf(settingsOf(`-redeemer ${CHAIN} -ethOrchAddr ${OTHER}`), OWN), OTHER)
  })

  for (const [line, expected] of [
    [`-gateway ${CHAIN}`, []],
    [`-gateway ${CHAIN} -maxPricePerUnit 1usd`, ['USD']],
    [`-gateway ${CHAIN} -maxPricePerUnit 1eth`, []],
    [`-orchestrator -orchSecret s ${CHAIN} ${SERVICE} -pricePerUnit 1`, []],
    [`-orchestrator -orchSecret s ${CHAIN} ${SERVICE} -pricePerUnit 1USD`, ['USD']],
    [
      `-orchestrator -orchSecret s ${CHAIN} ${SERVICE} -pricePerUnit 1USD -pricePerGateway prices`,
      ['EUR', 'USD'],
    ],
    [CHAIN, []],
  ] as const) {
    it(`${line} follows the feeds of ${expected.join(' and ') || 'no currency'}`, () =>
      assert.deepEqual(feedCurrenciesOf(settingsOf(line)), expected))
  }

  it('a gateway without a data folder keeps nothing and sends no transactions', () => {
    const settings = withoutDataFolder(settingsOf(`-gateway ${CHAIN}`))
    assert.equal(settings.keepsNothing, true)
    assert.equal(dutiesOf(settings).sendsTransactions, false)
    assert.equal(withoutDataFolder(settingsOf('-gateway -orchAddr o')).chain, null)
  })

  for (const [line, expected] of [
    [`-gateway ${CHAIN}`, 'fund its deposit and reserve'],
    [`-redeemer ${CHAIN}`, 'send it ether'],
    [`-orchestrator -transcoder ${CHAIN} ${SERVICE} -pricePerUnit 1`, 'send it ether'],
    [`-orchestrator -transcoder ${CHAIN} ${SERVICE} -pricePerUnit 1 -redeemerAddr r:8935`, ''],
    [`${CHAIN}`, 'send it ether'],
  ] as const) {
    it(`a new account of ${line} is told to ${expected || 'do nothing'}`, () =>
      assert.equal(accountNeedsOf(dutiesOf(settingsOf(line))), expected))
  }

  it('object stores are offered where segments are fetched by their URIs, all else always is', () => {
    const all = defaultCapabilities('1')
    assert.equal(offered(all, { fetchesUris: true }), all)
    const { bitstring, capacities } = offered(all, { fetchesUris: false })
    const missing = [4, 5, 6]
    assert.deepEqual(
      bitsOf(bitstring),
      bitsOf(all.bitstring).filter((bit) => !missing.includes(bit)),
    )
    assert.deepEqual(
      [...capacities.keys()],
      [...all.capacities.keys()].filter((bit) => !missing.includes(bit)),
    )
  })

  for (const [width, height, fps, fpsDen, expected] of [
    [640, 360, 30, 1, { width: 1280, height: 720, fps: 30 }],
    [640, 360, 0, 0, { width: 1280, height: 720, fps: 30 }],
    [1280, 720, 60_000, 1001, { width: 1280, height: 720, fps: 60 }],
    [1920, 1080, 30, 1, { width: 1920, height: 1080, fps: 30 }],
    [720, 1282, 25, 1, { width: 1920, height: 1080, fps: 30 }],
  ] as const) {
    it(`an engine for ${width}×${height} at ${fps}/${fpsDen} is measured with a picture of ${expected.height}p${expected.fps}`, () => {
      const [profile] = settingsOf(`-orchestrator -transcoder ${SERVICE}`).transcoder!.ladder
      assert.deepEqual(trialPictureOf([{ ...profile!, width, height, fps, fpsDen }]), expected)
    })
  }
})

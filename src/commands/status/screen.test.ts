import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  answerOf,
  bodyOf,
  chainFigures,
  group,
  moneyFiguresOf,
  NOW_MS,
  ORCHESTRATOR,
  orchestratorStatus,
  REDEEMER,
  REGISTERED,
  redeemerStatus,
  rewardStatus,
  ticketFigures,
} from '../../../test/fakes/status-answers.ts'
import type { CauseCode } from '../../domain/cause-facts.ts'
import type { MemberFigures } from '../../node/status/cluster.ts'
import type { NodeStatus } from '../../node/status/status.ts'
import { type NodeAnswer, readAnswer } from './answer.ts'
import { problemsOf } from './problems.ts'
import { screenOf } from './screen.ts'

const WELL = [
  answerOf('10.0.0.5:4935', redeemerStatus()),
  answerOf('10.0.0.6:2935', rewardStatus()),
  answerOf('10.0.0.7:7935', orchestratorStatus()),
]

test('one screen shows who redeems, who rewards, what is pending and what was lost', () => {
  const { needsAttention, text } = screenOf(WELL, NOW_MS)
  assert.equal(needsAttention, false)
  assert.equal(
    text,
    `livepeer status   2026-09-01 12:00:00 UTC   3 nodes

NEEDS ATTENTION: nothing

MONEY
                                       today, UTC       round 4000     since Monday since 2026-08-03
  expected value received               0.125 ETH        0.125 ETH        0.125 ETH        1.125 ETH
  won, face value                         0.2 ETH          0.2 ETH          0.2 ETH          0.9 ETH
  redeemed                                0.1 ETH          0.1 ETH          0.1 ETH          0.7 ETH
  gas of redemptions                   0.0001 ETH       0.0001 ETH       0.0001 ETH       0.0011 ETH
  gas of rewards                      0.00002 ETH      0.00002 ETH      0.00002 ETH      0.00102 ETH
  net: redeemed less gas              0.09988 ETH      0.09988 ETH      0.09988 ETH      0.69788 ETH

WHO REDEEMS
  redeemer 10.0.0.5:4935 with account ${REDEEMER} for
      ${REGISTERED}
    7 tickets redeemed; its balance lasts for about 800 redemptions
  orchestrator 10.0.0.7:7935 hands its winning tickets to 10.0.0.5:8935 (answers for 60 min)

WHO REWARDS
  reward service 10.0.0.6:2935 with account ${REGISTERED}
    called in round 4000; due again in round 4001, which begins in 5660 L1 blocks (about 19 h); last
        on chain: round 4000; its balance lasts for about 400 rewards

PENDING
  orchestrator 10.0.0.7:7935
    2 tickets (0.2 ETH) were handed to a redeemer, and are not seen redeemed yet; the first expires
        in 11420 L1 blocks (about 38 h)

LOST OR REFUSED: nothing

NODES
  redeemer 10.0.0.5:4935   version 0.1.0, on arbitrum-one-mainnet, ready
    account ${REDEEMER}   0.5 ETH
    block 300000000 (1 s old), L1 block 22000100, round 4000, gas 0.1 gwei (pays at most 2 gwei)
    12 float streams · 900 tickets received and 7 won in all
  reward service 10.0.0.6:2935   version 0.1.0, on arbitrum-one-mainnet, ready
    account ${REGISTERED}   0.5 ETH
    block 300000000 (1 s old), L1 block 22000100, round 4000, gas 0.1 gwei (pays at most 2 gwei)
  orchestrator 10.0.0.7:7935   version 0.1.0, on arbitrum-one-mainnet, ready
    account ${ORCHESTRATOR}   0 ETH
    block 300000000 (1 s old), L1 block 22000100, round 4000, gas 0.1 gwei (pays at most 2 gwei)
    3 sessions · 120 segments transcoded, 0 failed · 900 tickets received and 9 won in all
`,
  )
})

/** The lines of a chapter, without those of other chapters. */
function chapter(answers: readonly NodeAnswer[], title: string): string {
  const { text } = screenOf(answers, NOW_MS)
  return text.split('\n\n').find((part) => part.startsWith(title)) ?? ''
}

test('money is counted once: a redeemer beside the orchestrators that hand tickets to it adds only other nodes’ tickets', () => {
  const ether = 10n ** 18n
  const redeemer = (redeemedWei: bigint) =>
    answerOf('r', redeemerStatus({ money: moneyFiguresOf({ handedInWei: 9n * ether, redeemedWei }) }))
  const orchestrator = answerOf(
    'o',
    orchestratorStatus({ money: moneyFiguresOf({ wonWei: 5n * ether, redeemedWei: 4n * ether }) }),
  )
  const own = answerOf(
    'own',
    orchestratorStatus({
      redeemers: undefined,
      money: moneyFiguresOf({ wonWei: ether, redeemedWei: ether }),
    }),
  )
  const row = (answers: readonly NodeAnswer[], label: string) =>
    new RegExp(`^ +${label} +(.+?)  `, 'm').exec(chapter(answers, 'MONEY'))?.[1]
  const all = [redeemer(4n * ether), orchestrator, own]
  assert.deepEqual(
    [row(all, 'won, face value'), row(all, 'redeemed'), row(all, 'net: redeemed less gas')],
    [...['6 ETH', '5 ETH', '5 ETH']],
  )
  assert.equal(row(all, 'redeemed for other nodes'), undefined)
  assert.equal(row([redeemer(6n * ether), orchestrator], 'redeemed for other nodes'), '2 ETH')
  assert.equal(row([redeemer(6n * ether), orchestrator], 'net: redeemed less gas'), '6 ETH')
  const alone = [redeemer(6n * ether)]
  assert.deepEqual([row(alone, 'handed in, face value'), row(alone, 'redeemed')], ['9 ETH', '6 ETH'])
  assert.equal(chapter([WELL[1]!], 'MONEY').includes('gas of rewards'), true)
  assert.match(chapter([], 'MONEY'), /^MONEY: nothing earned and nothing spent$/)
})

test('an orchestrator shows its prices and its transcoders, a gateway its funds and how long they last', () => {
  const gateway = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
  const transcoder = {
    ...{ name: 'atelier-3', address: '10.0.0.9:4000', hardware: 'GPUs 0, 1', capacity: 8, load: 2 },
    ...{ sinceMs: 0, running: 1, done: 5, failed: 0, lastAnswerMs: null, outOfRotation: null, version: '1' },
    streams: ['movie', 'show'],
  }
  const status = orchestratorStatus({
    chain: chainFigures(ORCHESTRATOR, {
      balance: 0n,
      gasPrice: 21_400_000_000n,
      gasLimits: { min: 0n, max: 50n * 10n ** 9n, ceiling: 50n * 10n ** 9n },
    }),
    price: {
      base: '1200',
      perGateway: [{ gateway, weiPerPixel: '2701/3' }],
      offered: [{ gateway, weiPerPixel: '909091/1000' }],
    },
    transcoders: [
      transcoder,
      { ...transcoder, name: '', address: '10.0.0.8:4000', hardware: '', streams: [] },
    ],
  })
  const nodes = chapter([answerOf('o', status)], 'NODES')
  for (const line of [
    ', round 4000, gas 21.4 gwei (-maxGasPrice 50 gwei)',
    '    price 1200 wei per pixel; agreed 900.333 to 0x90F7…b906; last offered 909.091 to 0x90F7…b906',
    '    transcoder atelier-3 at 10.0.0.9:4000, 2 of 8 sessions, GPUs 0, 1: movie, show',
    '    transcoder 10.0.0.8:4000, 2 of 8 sessions\n',
  ])
    assert.ok(nodes.includes(line), `${line}\n${nodes}`)
  const unknown = answerOf('o', orchestratorStatus({ price: { base: null, perGateway: [], offered: [] } }))
  assert.match(chapter([unknown], 'NODES'), / {4}price not known yet\n/)

  const funds = {
    ...{ depositWei: 5n * 10n ** 17n, reserveWei: 10n ** 18n, spentPerHourWei: 10n ** 16n },
    ...{ depositLastsMs: 50 * 3_600_000, reserveLastsMs: 100 * 3_600_000 },
  }
  const paying = { version: '0.1.0', ready: true, nowMs: NOW_MS, roles: ['gateway'] }
  assert.match(
    chapter([answerOf('g', { ...paying, funds })], 'NODES'),
    / {4}deposit 0\.5 ETH, lasts about 2 days; reserve 1 ETH, lasts about 4 days; spends about 0\.01 ETH an\s+hour/,
  )
  const idle = { ...funds, spentPerHourWei: 0n, depositLastsMs: null, reserveLastsMs: null }
  assert.match(
    chapter([answerOf('g', { ...paying, funds: idle })], 'NODES'),
    / {4}deposit 0\.5 ETH; reserve 1 ETH; nothing spent lately/,
  )
})

test('a large setup fits one screen', () => {
  const transcoders = Array.from({ length: 60 }, (_, i) => ({
    ...{ name: `t${i}`, address: `10.1.0.${i}:4000`, hardware: '8 cores', capacity: 8, load: 2, sinceMs: 0 },
    ...{ running: 1, done: 5, failed: 0, lastAnswerMs: null, outOfRotation: null, version: '1' },
    streams: Array.from({ length: 30 }, (_, s) => `stream${s}`),
  }))
  const { text } = screenOf([...WELL, answerOf('o', orchestratorStatus({ transcoders }))], NOW_MS)
  assert.ok(text.split('\n').length < 80, text)
  assert.match(text, /52 more transcoders/)
})

test('lost tickets and rewards are shown with their reasons', () => {
  const tickets = ticketFigures([group('refused', 'underfunded', 1), group('refused', 'expired', 3)], {
    paymentsRefused: 4,
    handedRefused: { 'not-winning': 2 },
  })
  const { text } = screenOf([answerOf('r', redeemerStatus({ tickets })), WELL[1]!], NOW_MS)
  assert.match(
    text,
    /LOST OR REFUSED\n {2}redeemer r\n {4}1 ticket \(0\.1 ETH\) expired while its sender had no funds for it\n {4}3 tickets \(0\.3 ETH\) expired before they could be redeemed\n {4}4 payments of gateways refused since the start: see the log\n {4}tickets that orchestrators handed in, refused since the start: 2 not-winning\n/,
  )
})

/** Answers, and the one problem that they have. */
const PROBLEMS: readonly (readonly [what: string, answers: readonly NodeAnswer[], sentence: RegExp])[] = [
  [
    'a node that does not answer',
    [{ address: 'a:1', kind: 'silent', why: 'connect ECONNREFUSED' }],
    /^a:1 does not answer \(connect ECONNREFUSED\): start the node, or give its -cliAddr$/,
  ],
  [
    'a node that asks for a token',
    [{ address: 'a:1', kind: 'no-token', shown: false }],
    /^a:1 asks for a token: give --token/,
  ],
  ['a wrong token', [{ address: 'a:1', kind: 'no-token', shown: true }], /^a:1 refuses the token: /],
  [
    'another program',
    [{ address: 'a:1', kind: 'stranger', why: 'no JSON' }],
    /^a:1 is not a livepeer-ts node \(no JSON\)/,
  ],
  [
    'a node that is not ready',
    [answerOf('a', orchestratorStatus({ ready: false, waitingFor: 'a transcoder' }))],
    /^orchestrator a is not ready and waits for a transcoder/,
  ],
  [
    'a node that was drained',
    [answerOf('a', orchestratorStatus({ ready: false, waitingFor: 'livepeer undrain', drain: 'drained' }))],
    /^orchestrator a was drained and takes no work: livepeer undrain a ends that$/,
  ],
  [
    'a redeemer that is away',
    [
      answerOf(
        'a',
        orchestratorStatus({
          redeemers: [{ name: 'r:1', answers: false, sinceMs: NOW_MS - 90_000, lastError: 'refused' }],
          tickets: ticketFigures([group('open', 'redeemer-away', 3, 22_011_520n)]),
        }),
      ),
    ],
    /^orchestrator a has not reached its redeemer r:1 for 90 s \(refused\); 3 winning tickets wait for it, and none is lost until it expires: start the redeemer, or correct -redeemerAddr$/,
  ],
  [
    'a redeemer that refuses tickets',
    [
      answerOf(
        'a',
        orchestratorStatus({
          redeemers: [{ name: 'r:1', answers: true, sinceMs: NOW_MS, lastError: 'wrong secret' }],
        }),
      ),
    ],
    /^orchestrator a is refused by its redeemer r:1 \(wrong secret\)/,
  ],
  [
    'tickets about to expire',
    [
      answerOf(
        'r',
        redeemerStatus({ tickets: ticketFigures([group('open', 'underfunded', 1, 22_000_120n)]) }),
      ),
    ],
    /^1 winning ticket of redeemer r \(0\.1 ETH\) waits for funds of its sender, and the first expires in 20 L1 blocks \(about 4 min\): only the sender can help/,
  ],
  [
    'gas above the limit',
    [
      answerOf(
        'r',
        redeemerStatus({ tickets: ticketFigures([group('open', 'gas-too-high', 2, 22_011_520n)]) }),
      ),
    ],
    /wait because gas costs more than -maxGasPrice: raise -maxGasPrice, or wait for cheaper gas$/,
  ],
  [
    'money that runs out',
    [answerOf('r', redeemerStatus({ chain: chainFigures(REDEEMER, { redemptionsLeft: 2n, balance: 5n }) }))],
    /^the account 0x3C44\w+ of redeemer r has 5 wei, enough for 2 more redemptions: send it ether$/,
  ],
  [
    'an orchestrator that was paid too much',
    [
      answerOf('g', {
        version: '0.1.0',
        ready: true,
        nowMs: NOW_MS,
        roles: ['gateway'],
        overpaid: [
          {
            orchestrator: 'https://o.example:8935',
            chargedWei: 3n * 10n ** 15n,
            earnedWei: 10n ** 15n,
            untilMs: NOW_MS + 60_000,
            times: 2,
          },
        ],
      }),
    ],
    /^gateway g leaves out the orchestrator https:\/\/o\.example:8935 for a while \(2 times\): it charged 0\.003 ETH lately for work worth 0\.001 ETH at its own price; see the log, and put its account on -orchBlocklist if that continues$/,
  ],
  [
    'few rounds left',
    [answerOf('w', rewardStatus({ roundsLeft: 1n }))],
    /enough for 1 more reward: send it ether$/,
  ],
  [
    'a reward that could not be called',
    [
      answerOf(
        'w',
        rewardStatus({ state: 'due', lastError: { atMs: NOW_MS, message: 'no ether' }, nextLookMs: NOW_MS }),
      ),
    ],
    /^reward service w could not call the reward of round 4000 yet \(no ether\) and retries/,
  ],
  [
    'a reward service whose account may not call it',
    [answerOf('w', rewardStatus({ state: 'off', why: 'the account is not registered' }))],
    /^reward service w does not call reward: the account is not registered$/,
  ],
  [
    'a round without its reward',
    [
      answerOf(
        'r',
        redeemerStatus({
          chain: chainFigures(REDEEMER, {
            redemptionsLeft: 800n,
            recipientState: { ...chainFigures(REDEEMER).recipientState, lastRewardRound: 3998n },
          }),
        }),
      ),
    ],
    /^the reward of 0x7099\w+ was last called in round 3998, and round 3999 ended without it: run a node/,
  ],
  [
    'an orchestrator that is not active',
    [
      answerOf(
        'r',
        redeemerStatus({
          chain: chainFigures(REDEEMER, {
            redemptionsLeft: 800n,
            recipientState: { ...chainFigures(REDEEMER).recipientState, active: false },
          }),
        }),
      ),
    ],
    /is not active in round 4000, so payments to it are refused/,
  ],
  [
    'an endpoint that is down',
    [
      answerOf(
        'r',
        redeemerStatus({
          chain: chainFigures(REDEEMER, {
            redemptionsLeft: 800n,
            endpoints: [
              { endpoint: 'a', state: { kind: 'healthy', sinceMs: 0 }, head: 1n },
              {
                endpoint: 'b',
                state: { kind: 'stale', sinceMs: NOW_MS - 30_000, reason: 'old' },
                head: null,
              },
            ],
          }),
        }),
      ),
    ],
    /^redeemer r does not use the endpoint b, which has been stale for 30 s \(old\)/,
  ],
  [
    'a round that is never initialised',
    [
      answerOf(
        'r',
        redeemerStatus({
          chain: chainFigures(REDEEMER, {
            redemptionsLeft: 800n,
            rounds: { ...chainFigures(REDEEMER).rounds, lastInitialized: 3999n },
          }),
        }),
      ),
    ],
    /^round 4000 began 100 L1 blocks \(about 20 min\) ago and is not initialised.*: run a node with -initializeRound, or initialise it with: livepeer round init$/,
  ],
  [
    'two senders with one account',
    [
      answerOf('r', redeemerStatus({ chain: chainFigures(REGISTERED, { redemptionsLeft: 9n ** 9n }) })),
      WELL[1]!,
    ],
    /^redeemer r and reward service 10\.0\.0\.6:2935 all send transactions from 0x7099\w+ and take each other's nonces: /,
  ],
  [
    'a disk that is full',
    [
      answerOf(
        'a',
        orchestratorStatus({
          storeFault: 'the database D cannot be used, the disk is full: fix that, or give',
        }),
      ),
    ],
    /^orchestrator a cannot write to its store, so it refuses what it would have to keep: the database D cannot be used, the disk is full: fix that/,
  ],
  [
    'money that was read long ago',
    [answerOf('a', orchestratorStatus({ storeReadMs: NOW_MS - 42_000 }))],
    /^orchestrator a shows tickets and money as they were 42 s ago, since its store has not answered since: they are read again as soon as it does$/,
  ],
  [
    'a cause that the node names itself',
    [
      answerOf(
        'r',
        redeemerStatus({
          chain: chainFigures(REDEEMER, { redemptionsLeft: 0n, balance: 0n }),
          tickets: ticketFigures([group('open', 'no-ether', 2, 22_000_120n)]),
          causes: [causeOf('no-ether', '', 'the account A has 0 ETH', 'send A at least 1 ETH')],
        }),
      ),
    ],
    /^redeemer r: the account A has 0 ETH \(for 3 min, 7 times\): send A at least 1 ETH$/,
  ],
  [
    'a broken store that the node names itself',
    [
      answerOf(
        'a',
        orchestratorStatus({
          storeFault: 'the disk is full',
          causes: [causeOf('store-unwritable', '', 'nothing can be written: the disk is full', 'make room')],
        }),
      ),
    ],
    /^orchestrator a: nothing can be written: the disk is full \(for 3 min, 7 times\): make room$/,
  ],
  [
    'a redeemer that refuses',
    [
      answerOf(
        'a',
        orchestratorStatus({
          redeemers: [{ name: 'r:1', answers: true, sinceMs: NOW_MS, lastError: 'wrong secret' }],
          causes: [causeOf('redeemer-refuses', 'r:1', 'the redeemer r:1 does not accept', 'give both')],
        }),
      ),
    ],
    /^orchestrator a: the redeemer r:1 does not accept \(for 3 min, 7 times\): give both$/,
  ],
  [
    'a reward service that initialises rounds too',
    [answerOf('w', { ...rewardStatus(), roles: ['roundInitializer', 'reward'], ready: false })],
    /^reward service and round initialiser w is not ready/,
  ],
  [
    'an orchestrator without transcoders',
    [answerOf('a', orchestratorStatus({ roles: ['orchestrator'], transcoders: [] }))],
    /^orchestrator a has no transcoder, so it can take no work/,
  ],
]
function causeOf(
  code: CauseCode,
  about: string,
  says: string,
  change: string,
): NonNullable<NodeStatus['causes']>[number] {
  const sinceMs = NOW_MS - 180_000
  return { code, side: 'operator', about, says, change, sinceMs, lastMs: NOW_MS, count: 7 }
}

for (const [what, answers, sentence] of PROBLEMS) {
  test(`${what} needs attention, in one sentence`, () => {
    const problems = problemsOf(answers)
    assert.equal(problems.length, 1, problems.join('\n'))
    assert.match(problems[0]!, sentence)
    const { needsAttention, text } = screenOf(answers, NOW_MS)
    assert.ok(needsAttention)
    assert.match(text, /NEEDS ATTENTION\n {2}! /)
  })
}

test('causes of one kind fill no screen, whoever makes them up', () => {
  const causes = Array.from({ length: 100 }, (_, i) =>
    causeOf('sender-underfunded', `${i}`, `gateway ${i}`, 'no'),
  )
  const problems = problemsOf([answerOf('a', orchestratorStatus({ causes }))])
  assert.equal(problems.length, 4)
  assert.equal(problems[3], 'orchestrator a: 97 more of that kind (sender-underfunded)')
})

test('answers of nodes cannot control the terminal, and no line is wider than 100 columns', () => {
  const evil = '\x1b[2J\u202e\u009b'
  const handedRefused = { [`${evil}${'x'.repeat(1_000)}`]: 1 }
  const status = orchestratorStatus({
    waitingFor: `${evil}${'long '.repeat(100)}\n`,
    ready: false,
    tickets: ticketFigures([], { handedRefused }),
  })
  const { text } = screenOf([answerOf('a', status)], NOW_MS)
  assert.match(text, /handed in, refused since the start: 1 \[2J/)
  assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{C}\p{Zl}\p{Zp}]/u)
  assert.ok(text.split('\n').every((line) => line.length <= 100))
})

test('sections of another version are named, and the rest is shown', () => {
  const status = { ...redeemerStatus(), tickets: { shape: 'new' } } as unknown as NodeStatus
  const asked = { atMs: NOW_MS, withToken: false }
  const answer = readAnswer('r', { httpStatus: 200, body: bodyOf(status) }, asked)
  assert.match(problemsOf([answer]).join(), /version 0\.1\.0, whose tickets cannot be read here/)
  for (const body of ['', '[]', '{}', '{"version":1,"ready":true}', 'null'])
    assert.equal(readAnswer('r', { httpStatus: 200, body }, asked).kind, 'stranger', body)
  assert.equal(readAnswer('r', { httpStatus: 404, body: '' }, asked).kind, 'stranger')
})

test('a cluster is shown once with all its nodes, whichever were asked, and a silent one needs attention', () => {
  const work = { takesSegments: true, maxSessions: 10, sessions: 3, segments: 1 }
  const member = (digit: string, changes: Partial<MemberFigures> = {}): MemberFigures => ({
    ...{ node: digit.repeat(16), address: `10.0.0.${digit}:8935`, account: ORCHESTRATOR },
    ...{
      roles: ['orchestrator', 'transcoder'],
      version: '0.1.0',
      alive: true,
      silentMs: 0,
      seenMs: 0,
      leads: [],
      work,
      ...changes,
    },
  })
  const idle = { takesSegments: false, maxSessions: 0, sessions: 0, segments: 0 }
  const members = [
    member('7'),
    member('8', { work: { ...work, takesSegments: false } }),
    member('9', { alive: false, silentMs: 40_000 }),
    member('4', { roles: ['redeemer'], work: idle, leads: [{ duty: 'redeem', forMs: 180_000 }] }),
  ]
  const seenBy = (node: string, isIn: boolean, known = members) =>
    answerOf(
      `10.0.0.${node}:7935`,
      orchestratorStatus({ cluster: { node: node.repeat(16), isIn, members: known } }),
    )
  const answers = [seenBy('8', false, members.slice(0, 2)), seenBy('7', true)]
  assert.equal(
    chapter(answers, 'CLUSTER').trimEnd(),
    `CLUSTER
  3 of 4 nodes alive, 6 of 20 sessions
    orchestrator 10.0.0.7:8935 (7777777777777777)   version 0.1.0, 3 of 10 sessions
    orchestrator 10.0.0.8:8935 (8888888888888888)   version 0.1.0, 3 of 10 sessions, takes no more
    orchestrator 10.0.0.9:8935 (9999999999999999)   version 0.1.0, 3 of 10 sessions, silent for 40 s
    redeemer 10.0.0.4:8935 (4444444444444444)   version 0.1.0, leads redemption for 3 min`,
  )
  assert.deepEqual(problemsOf(answers), [
    'the orchestrator 10.0.0.9:8935 (9999999999999999) of the cluster has been silent for 40 s: start it again, unless it was taken out for good (it is forgotten after a day)',
  ])
  const cutOff = [
    seenBy(
      '8',
      false,
      members.map((each) => ({ ...each, alive: false, silentMs: 9_000, leads: [] })),
    ),
  ]
  assert.deepEqual(problemsOf(cutOff), [], 'a node without its database does not know who is gone')
  assert.match(chapter(cutOff, 'CLUSTER'), /4 nodes, as they were when the database last answered/)
  assert.doesNotMatch(chapter(cutOff, 'CLUSTER'), /silent/)
  const other = answerOf(
    'x:1',
    orchestratorStatus({ cluster: { node: 'f'.repeat(16), isIn: true, members: [member('1')] } }),
  )
  assert.match(chapter([...answers, other], 'CLUSTER 2'), /1 of 1 node alive/)
})

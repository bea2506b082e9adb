import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  answerOf,
  chainFigures,
  group,
  moneyFiguresOf,
  NOW_MS,
  ORCHESTRATOR,
  orchestratorStatus,
  redeemerStatus,
  ticketFigures,
} from '../../../test/fakes/status-answers.ts'
import type { LedDuty } from '../../domain/member.ts'
import type { MemberFigures } from '../../node/status/cluster.ts'
import type { NodeAnswer } from './answer.ts'
import { luckBookIn } from './luck.ts'
import { problemsOf } from './problems.ts'
import { screenOf } from './screen.ts'

/** What `livepeer status` says of nodes that share a store. */

function chapter(answers: readonly NodeAnswer[], title: string): string {
  const { text } = screenOf(answers, NOW_MS)
  return text.split('\n\n').find((part) => part.startsWith(title)) ?? ''
}

/** A member of a cluster, as its siblings see it. */
function memberOf(digit: string, roles: readonly string[] = ['orchestrator', 'transcoder']): MemberFigures {
  return {
    ...{ node: digit.repeat(16), address: `10.0.0.${digit}:8935`, account: ORCHESTRATOR, roles: [...roles] },
    ...{ version: '0.1.0', alive: true, silentMs: 0, seenMs: 0, leads: [] },
    work: { takesSegments: true, maxSessions: 10, sessions: 3, segments: 1 },
  }
}

test('of nodes that share a store the money is counted once, whichever of them are asked', () => {
  const members = [memberOf('7'), memberOf('8'), memberOf('4', ['redeemer'])]
  const money = moneyFiguresOf({ wonWei: 5n * 10n ** 18n, redeemedWei: 4n * 10n ** 18n })
  const cluster = (digit: string) => ({ node: digit.repeat(16), isIn: true, members })
  const shared = [
    answerOf('4', redeemerStatus({ money, cluster: cluster('4') })),
    answerOf('7', orchestratorStatus({ money, redeemers: undefined, cluster: cluster('7') })),
    answerOf('8', orchestratorStatus({ money, redeemers: undefined, cluster: cluster('8') })),
  ]
  const won = (answers: readonly NodeAnswer[]) =>
    /^ +won, face value +(.+?) {2}/m.exec(chapter(answers, 'MONEY'))?.[1]
  assert.equal(won(shared), '5 ETH')
  assert.equal(won(shared.slice(1)), '5 ETH')
  const other = answerOf('o', orchestratorStatus({ money, redeemers: undefined }))
  assert.equal(won([...shared, other]), '10 ETH')
})

test('of nodes that share a store waiting tickets are shown once, by the one that knows their deadline', () => {
  const members = [memberOf('7'), memberOf('4', ['redeemer'])]
  const cluster = (digit: string) => ({ node: digit.repeat(16), isIn: true, members })
  const waiting = (expiry: bigint | null) =>
    ticketFigures([group('open', 'gas-too-high', 2, expiry), group('refused', 'underfunded', 1)])
  const answers = [
    answerOf(
      '7',
      orchestratorStatus({ redeemers: undefined, tickets: waiting(null), cluster: cluster('7') }),
    ),
    answerOf('4', redeemerStatus({ tickets: waiting(22_011_520n), cluster: cluster('4') })),
  ]
  for (const title of ['PENDING', 'LOST OR REFUSED']) {
    const shown = chapter(answers, title)
    assert.match(shown, /\n {2}redeemer 4\n {4}\d ticket/)
    assert.doesNotMatch(shown, /orchestrator 7/)
  }
  assert.deepEqual(
    problemsOf(answers).map((problem) => problem.split(' (', 1)[0]),
    ['2 winning tickets of redeemer 4'],
  )
})

test('in a cluster the one that leads is shown from any node, and an orchestrator needs no ether beside a redeemer', () => {
  const leads = (duty: LedDuty) => ({ leads: [{ duty, forMs: 180_000 }] })
  const redeemer = { ...memberOf('4', ['redeemer']), ...leads('redeem') }
  const members = [memberOf('7'), redeemer, { ...memberOf('6', ['reward']), ...leads('reward') }]
  const seen = (known: readonly MemberFigures[], isIn = true) => [
    answerOf(
      '10.0.0.7:7935',
      orchestratorStatus({
        redeemers: undefined,
        chain: chainFigures(ORCHESTRATOR, { balance: 0n, redemptionsLeft: 0n }),
        cluster: { node: '7'.repeat(16), isIn, members: [...known] },
      }),
    ),
  ]
  assert.deepEqual(problemsOf(seen(members)), [])
  const cutOff = members.map((each) => ({ ...each, alive: false, silentMs: 9_000, leads: [] }))
  assert.deepEqual(problemsOf(seen(cutOff, false)), [])
  assert.match(
    chapter(seen(members), 'WHO REDEEMS'),
    /^WHO REDEEMS\n {2}redeemer 10\.0\.0\.4:8935 \(4{16}\) of the cluster, which has led for 3 min$/,
  )
  assert.match(
    chapter(seen(members), 'WHO REWARDS').replace(/\n +/g, ' '),
    /^WHO REWARDS reward service 10\.0\.0\.6:8935 \(6{16}\) of the cluster, which has led for 3 min the reward of 0x7099\w+ was called in round 4000; due again in round 4001, which begins in 5660 L1 blocks \(about 19 h\)$/,
  )
  const alone = seen([memberOf('7'), { ...redeemer, alive: false, leads: [] }])
  assert.match(
    problemsOf(alone).join('\n'),
    /orchestrator 10\.0\.0\.7:7935 has 0 ETH, enough for 0 more redemptions/,
  )
  assert.match(chapter(alone, 'WHO REDEEMS'), /^WHO REDEEMS\n {2}orchestrator 10\.0\.0\.7:7935 with account/)
})

test('luck is shown of each store that received tickets, with the band that chance leaves', () => {
  const wei = (tenths: number) => String((BigInt(tenths) * 10n ** 18n) / 10n)
  const bookOf = (won: number, ticketsReceived = 900) =>
    luckBookIn(
      JSON.stringify({
        total: {
          ...{ expectedWei: wei(20), wonWei: wei(won), lowWei: wei(10), highWei: wei(30) },
          ...{ ticketsReceived, ticketsWon: 18 },
        },
      }),
    )!
  const members = [memberOf('7'), memberOf('8')]
  const cluster = (digit: string) => ({ node: digit.repeat(16), isIn: true, members })
  const answers = [
    answerOf('a:1', orchestratorStatus()),
    answerOf('b:2', orchestratorStatus({ cluster: cluster('7') })),
    answerOf('c:3', orchestratorStatus({ cluster: cluster('8') })),
    answerOf('d:4', redeemerStatus()),
  ]
  const books = new Map([
    ['a:1', bookOf(18)],
    ['b:2', bookOf(9)],
    ['c:3', bookOf(9)],
    ['d:4', bookOf(0, 0)],
  ])
  const { text } = screenOf(answers, NOW_MS, books)
  const shown = text.split('\n\n').find((part) => part.startsWith('LUCK'))!
  assert.equal(
    shown.replace(/\n +/g, ' '),
    'LUCK IN THE LAST 31 DAYS orchestrator a:1 1.8 ETH was won with 18 of 900 tickets; 2 ETH was to be expected, and 95 of 100 times it is between 1 ETH and 3 ETH. ' +
      'orchestrator b:2 0.9 ETH was won with 18 of 900 tickets; 2 ETH was to be expected, and 95 of 100 times it is between 1 ETH and 3 ETH. This is less luck than chance explains.',
  )
  assert.equal(screenOf(answers, NOW_MS).text.includes('LUCK'), false)
  assert.deepEqual(['', '{}', '{"total":{"wonWei":"x"}}'].map(luckBookIn), [null, null, null])
})

import assert from 'node:assert/strict'
import { type LocalNode, LPT } from './control-nodes.ts'
import type { RecordedRole } from './control-player.ts'
import { ACCOUNTS, type Stage } from './control-stage.ts'

/**
 * What was recorded of accounts and networks in other states than at the start, in an order in which each call finds the state
 * that it was recorded in: acts, which change the chain, and in each what the roles are asked one after the other.
 */
export interface Act {
  readonly name: string
  begins?(stage: Stage): Promise<void>
  readonly plays: Partial<Record<RecordedRole, readonly Step[]>>
}

/** The number of a record; or what an operator does beside them, where this node has refused what a Go node did. */
export type Step = number | ((node: LocalNode) => Promise<void>)

/** Numbers from one to another. */
const to = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

const posts =
  (path: string, values: Readonly<Record<string, string | bigint | number>> = {}): Step =>
  async (node) => {
    const { status, text } = await node.post(path, values)
    assert.equal(status, 200, `${path}: ${text}`)
  }
/** A wrapped amount was 7 wei. */
const WRAPPED = posts('/fundDeposit', { amount: 7 })
/** A wrapped amount was 1. */
const WRAPPED_UNBOND = posts('/unbond', { amount: 1 })
const ACTIVATED = { blockRewardCut: 10, feeShare: 5, pricePerUnit: 3_000_000_000, pixelsPerUnit: 1 }

const FUNDED = [...to(257, 275), 276, WRAPPED]
const TERMS = [243, 244]
const AT_THE_END = [303, 304, 305, 306, posts('/unlock'), 307, posts('/cancelUnlock'), 308, 309, 310, 311]
const CEILING = posts('/setMaxGasPrice', { amount: 100_000_000_000 })

export const ACTS: readonly Act[] = [
  {
    name: 'deposits and reserves; a bond; tokens; votes; the terms of an orchestrator',
    plays: {
      O: [...FUNDED, 277, 302, 468, 469, 471, 470, 278, 279, 472, 658, ...to(528, 533)],
      G: [
        ...[...FUNDED, 277, 468, 469, 471, 470, 278, 279, 472, posts('/cancelUnlock')],
        ...[679, 467, ...to(680, 697)],
      ],
      R: [...FUNDED, 277, 302, 278, 279],
      W: [
        ...[...FUNDED, 277, 302, 278, 279, 801, 803, 804, 805, 806, 294, 234, 235, 295, 296, ...to(807, 815)],
        ...[posts('/setOrchestratorConfig', { blockRewardCut: 10, feeShare: 8 }), 816, 817, 818],
      ],
    },
  },
  {
    name: 'a bond that counts: unbonded, bonded again, moved',
    begins: (stage) => stage.nextRound(),
    plays: {
      O: [...to(534, 539), WRAPPED_UNBOND, ...to(540, 543), 294, 234, 235, ...to(544, 552)],
      G: [698, 699, 294, 234, 235, 700, 701],
    },
  },
  {
    name: 'a bond that moves to another account',
    plays: { G: to(702, 708) },
  },
  {
    name: 'a lock that is bonded again',
    plays: { O: to(553, 557) },
  },
  {
    name: 'funds that are unlocked; a stake that is unbonded',
    begins: (stage) => stage.nextRound(),
    plays: {
      O: [558, 659, 479, 480, 297, 298],
      G: [709, 710],
      R: [494, 767, 768, 769],
      W: [494, 479, 480, 297, 298],
    },
  },
  {
    name: 'the end of a round, where terms are locked',
    begins: (stage) => stage.toLockedRound(),
    plays: { O: [464], G: [464], W: [819, 820] },
  },
  {
    name: 'a round that nobody has initialised',
    begins: (stage) => stage.toNewRound(),
    plays: {
      O: [231, 232, 559],
      G: [231, 232, 711, 712],
      R: [231, 232, 762, 770],
      W: [231, 232, ...to(821, 824)],
    },
  },
  {
    name: 'a node that initialises a round',
    plays: { G: [713, 714, 715] },
  },
  {
    name: 'becoming an orchestrator',
    begins: async (stage) => {
      await stage.followed()
      await stage.chain.fund(ACCOUNTS.R, { lpt: 100n })
    },
    plays: {
      O: [
        ...to(560, 566),
        465,
        567,
        activates(9034, { unbondingLockId: 4, amount: 500n * LPT }),
        ...to(568, 571),
      ],
      G: [716, 717, 718, 465, activates(9035, { amount: 20n * LPT })],
      R: [763, 764, 765, 766, 490, 491, ...TERMS],
    },
  },
  {
    name: 'orchestrators that are active; streams',
    begins: async (stage) => {
      await stage.nextRound()
      await stage.publish('G', 's0')
      await stage.publish('fG', 'x0')
    },
    plays: {
      O: [572, 466, ...to(573, 578), ...TERMS],
      G: [489, ...TERMS, ...to(719, 723)],
      R: [489],
      W: TERMS,
      T: [832],
      fO: [841],
      fG: to(848, 851),
    },
  },
  {
    name: 'a ticket that paid',
    begins: (stage) => stage.payTicket(480_000_000_000_000_000n),
    plays: {
      O: to(579, 585),
      G: [posts('/unlock'), 724, 725, 726, 727],
    },
  },
  {
    name: 'an hour and two rounds later: funds and stakes that can be withdrawn',
    begins: async (stage) => {
      await stage.nextRound()
      await stage.nextRound()
      await stage.anHourLater()
    },
    plays: {
      O: to(586, 591),
      G: [728, 729, 730, 297, 298, ...to(731, 733)],
    },
  },
  {
    name: 'a round that a node initialises by GET at a Go node',
    begins: (stage) => stage.toNewRound(),
    plays: { G: [734] },
  },
  {
    name: 'every path once more, and leaving',
    begins: (stage) => stage.followed(),
    plays: {
      O: [295, 296, ...to(592, 599)],
      G: [
        ...[466, 735, 490, 491, 736, ...to(737, 740), 303, 304, 305, 306, 741, 307, 742, ...to(308, 311)],
        ...[295, 296, CEILING, 256, 313, 314, 315],
      ],
      R: [
        ...[posts('/reward'), 771, 772, 234, 235, 773, 477, ...to(774, 777), 496, 497, 495],
        ...[...AT_THE_END, CEILING, 256, 313, 314, 315],
      ],
      W: [...to(825, 830), 496, 497, 495, ...AT_THE_END, CEILING, 256, 313, 314, 315],
    },
  },
  {
    name: 'an account that has left',
    begins: (stage) => stage.nextRound(),
    plays: { O: [467, ...to(600, 606), 477, CEILING, 256, ...to(607, 610), 660] },
  },
  {
    name: 'an RPC endpoint that is down',
    begins: (stage) => stage.chain.anvil.stop(),
    plays: { O: to(611, 657) },
  },
]

function activates(port: number, stake: Readonly<Record<string, string | bigint | number>>): Step {
  return posts('/activateOrchestrator', { ...ACTIVATED, serviceURI: `https://127.0.0.1:${port}`, ...stake })
}

/** What is played after the start, of each role. */
export const LATER: Readonly<Record<RecordedRole, ReadonlySet<number>>> = numbersOf(ACTS)

function numbersOf(acts: readonly Act[]): Readonly<Record<RecordedRole, ReadonlySet<number>>> {
  const of = (role: RecordedRole) =>
    new Set(acts.flatMap(({ plays }) => (plays[role] ?? []).filter((step) => typeof step === 'number')))
  return { O: of('O'), G: of('G'), R: of('R'), W: of('W'), T: of('T'), fO: of('fO'), fG: of('fG') }
}

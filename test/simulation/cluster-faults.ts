import type { Dice } from '../../src/lib/dice.ts'
import type { LinkMood } from './cluster-link.ts'

/** Blocks of a round; its tickets can be redeemed until the end of the next. */
export const ROUND = 60
/** Consecutive blocks of each round in which only lasting faults remain, for the work that must be done. */
const CALM = 10
/** Where they are in a round: at its end, or before an outage that lasts into the next round's calm blocks. */
const CALM_AT_END = ROUND - CALM
const CALM_BEFORE_LONG = 42
/** The first calm blocks, in which processes still die and blocks are still undone. */
const FLAPPING_BLOCKS = 4
/** Chance that a long outage starts in a round. */
const LONG = 0.25
/** Share of the long outages that affect one redeemer and continue through calm blocks. */
const LASTING = 0.4

/** An outage longer than a round without its calm blocks. */
export interface LongOutage {
  readonly from: number
  readonly to: number
  /** The faults, as named by `faultOf`. */
  readonly what: readonly string[]
}

/** Names of faults. */
export const faultOf = {
  cut: (orchestrator: number, redeemer: number) => `link ${orchestrator}-${redeemer}`,
  offline: (node: string) => `rpc of ${node}`,
  dead: (node: string) => `process ${node}`,
  stuck: 'inclusion',
  dear: 'gas',
  drained: (sender: string) => `funds of ${sender}`,
} as const

/** The current faults, and when each ends. */
export class Faults {
  readonly #until = new Map<string, number>()
  readonly #note: (what: string) => void

  constructor(note: (what: string) => void) {
    this.#note = note
  }

  inject(what: string, until: number): void {
    const before = this.#until.get(what) ?? 0
    if (before === 0) this.#note(`${what} fails`)
    this.#until.set(what, Math.max(before, until))
  }

  has(what: string): boolean {
    return this.#until.has(what)
  }

  /** Ends the faults that are due at this block. */
  expire(block: number): void {
    for (const [what, until] of this.#until) if (until <= block) this.#clear(what)
  }

  /** Ends all faults except these. */
  clear(except: readonly string[]): void {
    for (const what of this.#until.keys()) if (!except.includes(what)) this.#clear(what)
  }

  #clear(what: string): void {
    this.#until.delete(what)
    this.#note(`${what} works`)
  }
}

/** When nothing may fail, and when long outages happen; drawn for all rounds in advance. */
export class Calendar {
  readonly #long: LongOutage[] = []
  readonly #startsIn = new Map<number, LongOutage>()
  #at = 0

  constructor(
    dice: Dice,
    cluster: { rounds: number; orchestrators: readonly string[]; redeemers: readonly string[] },
  ) {
    for (let round = 1; round < cluster.rounds - 4; ) {
      if (dice.fraction() >= LONG) {
        round++
        continue
      }
      const outage = longOutage(dice, cluster, round)
      this.#long.push(outage)
      this.#startsIn.set(round, outage)
      round = Math.floor(outage.to / ROUND) + 1
    }
  }

  get longOutages(): readonly LongOutage[] {
    return this.#long
  }

  /** The long outage of this block, if any. */
  longAt(block: number): LongOutage | null {
    while (this.#at < this.#long.length && this.#long[this.#at]!.to <= block) this.#at++
    const next = this.#long[this.#at]
    return next && next.from <= block ? next : null
  }

  /** How many calm blocks have passed at this block; negative if it is not calm. */
  calmFor(block: number): number {
    const from = this.#startsIn.has(Math.floor(block / ROUND)) ? CALM_BEFORE_LONG : CALM_AT_END
    const at = (block % ROUND) - from
    return at < CALM ? at : -1
  }

  /** Whether processes may be killed and blocks undone: always, except shortly before tickets expire. */
  mayFlap(block: number): boolean {
    return this.calmFor(block) < FLAPPING_BLOCKS
  }
}

/** Chance per block, and maximum length in blocks. */
export const SHORT = {
  cut: { chance: 0.004, blocks: 36 },
  offline: { chance: 0.002, blocks: 24 },
  death: { chance: 0.003, blocks: 16 },
  stuck: { chance: 0.003, blocks: 12 },
  dear: { chance: 0.003, blocks: 12 },
  drained: { chance: 0.005, blocks: ROUND },
  brokenStream: { chance: 0.01, blocks: 0 },
  reorganisation: { chance: 0.01, blocks: 4 },
} as const

/** A cut link either refuses connections or hangs. */
export function moodOf(dice: Dice): LinkMood {
  return dice.fraction() < 0.5 ? 'refused' : 'silent'
}

function longOutage(
  dice: Dice,
  { orchestrators, redeemers }: { orchestrators: readonly string[]; redeemers: readonly string[] },
  round: number,
): LongOutage {
  const { cut, dead, offline, stuck } = faultOf
  const pick = <T>(of: readonly T[]): T => of[Math.floor(dice.fraction() * of.length)]!
  const from = round * ROUND + CALM_BEFORE_LONG + CALM
  if (dice.fraction() < LASTING) {
    const rounds = 2 + Math.floor(dice.fraction() * 2)
    const what = [pick([dead, offline])(pick(redeemers))]
    return { from, to: (round + rounds) * ROUND + CALM_AT_END, what }
  }
  const some = pick(orchestrators.map((_, i) => i))
  const what = pick([
    redeemers.map((_, i) => cut(some, i)),
    redeemers.map(dead),
    redeemers.map(offline),
    [dead(pick(redeemers))],
    [offline(pick(redeemers))],
    [dead(orchestrators[some]!)],
    [offline(orchestrators[some]!)],
    [...orchestrators, ...redeemers].map(offline),
    [...orchestrators, ...redeemers].map(dead),
    [stuck],
  ])
  return { from, to: (round + 1) * ROUND + CALM_AT_END, what }
}

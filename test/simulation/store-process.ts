import { StoreError } from '../../src/io/store/database.ts'
import type { Journal } from '../../src/io/store/journal.ts'
import { isServersFault } from '../../src/io/store/postgres.ts'
import type { Clock, ManualClock } from '../../src/lib/clock.ts'
import type { Dice } from '../../src/lib/dice.ts'
import { abortError, messageOf } from '../../src/lib/errors.ts'
import { type Service, Supervisor } from '../../src/lib/service.ts'
import type { Timers } from '../../src/lib/timers.ts'
import type { FakeChain } from '../fakes/chain.ts'
import { quickDice } from '../fakes/quick-dice.ts'
import type { FakeRewardChain, RewardDisk } from '../fakes/reward-chain.ts'
import { ChainLine } from './cluster-line.ts'
import type { LinkMood } from './cluster-link.ts'
import { Gate } from './gate.ts'
import type { StoreModel } from './store-model.ts'

/** One statement in this many has a fault of its own. */
const STATEMENTS_PER_FAULT = 40
const SLOWEST_MS = 3_000
const ANSWER_MS = 5_000

/** What all processes of the cluster share. */
export interface StoreWorld {
  readonly seed: string
  readonly clock: ManualClock
  readonly chain: FakeChain
  readonly rewards: FakeRewardChain
  /** The open reward call, which is in the store. */
  readonly rewardDisk: RewardDisk
  readonly model: StoreModel
  readonly violations: string[]
  note(what: string): void
  /** A process is about to write what it must not write once another one leads. */
  mayPause(process: StoreProcess): void
  /** What a process tells its operator. */
  told(process: StoreProcess, what: string): void
}

/** A process's clock: wrong by so much, and standing still with the process. */
class ProcessClock implements Clock {
  readonly #inner: ManualClock
  readonly #skewMs: number
  readonly #held: () => Promise<void>

  constructor(inner: ManualClock, skewMs: number, held: () => Promise<void>) {
    this.#inner = inner
    this.#skewMs = skewMs
    this.#held = held
  }

  now(): number {
    return this.#inner.now() + this.#skewMs
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await this.#inner.sleep(ms, signal)
    await this.#held()
    if (signal?.aborted) throw abortError(signal)
  }
}

/** A process's way to the store, which may be cut, silent, slow, or lose an answer. */
export class StoreLink {
  readonly #clock: Clock
  readonly #world: Clock
  readonly #dice: Dice
  #mood: LinkMood = 'well'
  /** Whether single statements have faults. */
  isFlawless = false
  #restored: (() => void)[] = []

  /** `clock` is the process's, by which it gives up; `world` that of the network. */
  constructor(needs: { clock: Clock; world: Clock; dice: Dice }) {
    this.#clock = needs.clock
    this.#world = needs.world
    this.#dice = needs.dice
  }

  get mood(): LinkMood {
    return this.#mood
  }

  set mood(mood: LinkMood) {
    this.#mood = mood
    if (mood !== 'silent') for (const wake of this.#restored.splice(0)) wake()
  }

  /** Has a statement done. Rejects as the library does where no answer comes in time: it may have been done or not. */
  async ask<T>(work: () => T | Promise<T>, limitMs = ANSWER_MS): Promise<T> {
    const roll = this.isFlawless ? 1 : this.#dice.fraction() * STATEMENTS_PER_FAULT
    if (this.#mood === 'refused') throw refused()
    if (this.#mood === 'well' && roll >= 1) return work()
    const late = new AbortController()
    const timer = this.#clock.sleep(limitMs, late.signal).then(
      () => {
        throw new Error('Query read timeout')
      },
      () => never(),
    )
    timer.catch(() => {})
    const answer = this.#arrive(work, roll)
    answer.catch(() => {})
    try {
      return await Promise.race([answer, timer])
    } finally {
      late.abort(null)
    }
  }

  async #arrive<T>(work: () => T | Promise<T>, roll: number): Promise<T> {
    if (roll < 0.3) await this.#world.sleep(this.#dice.fraction() * SLOWEST_MS)
    else if (roll < 0.6) return never()
    while (this.#mood === 'silent') await new Promise<void>((wake) => this.#restored.push(wake))
    if (this.#mood === 'refused') throw refused()
    const result = await work()
    return roll >= 0.6 && roll < 1 ? never() : result
  }
}

function refused(): Error {
  return Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', syscall: 'connect' })
}

/** Whether a statement failed since the store was not reached. */
export function isAwayFault(error: unknown): boolean {
  return isServersFault(error)
}

/** In words for the operator. */
export function explain(error: unknown): unknown {
  return isServersFault(error) ? new StoreError('store-unavailable', messageOf(error)) : error
}

/** A node's disk with its journal, which survives its processes. */
export class MemoryDisk {
  #lines: string[] = []

  get content(): readonly string[] {
    return [...this.#lines]
  }

  open(): Pick<Journal, 'append' | 'clear' | 'close' | 'keep'> {
    return {
      append: async (text) => void this.#lines.push(text),
      clear: async (records) => {
        if (this.#lines.length !== records) return false
        this.#lines = []
        return true
      },
      keep: async (records) => {
        this.#lines = [...records]
      },
      close: async () => {},
    }
  }
}

/** A process with an own endpoint of the chain and a link to the store; it may die or pause at any await. */
export class StoreProcess {
  readonly name: string
  readonly life: number
  readonly clock: Clock
  readonly timers: Timers
  readonly gate: Gate
  readonly line: ChainLine
  readonly link: StoreLink
  readonly died: Promise<never>
  readonly #world: StoreWorld
  readonly #end = new AbortController()
  readonly #supervisors: Supervisor[] = []
  readonly #deaths: (() => void)[] = []
  #pause: PromiseWithResolvers<void> | null = null
  #awaits = 0
  #diesAt = 0
  isReady = false

  constructor(place: { name: string; life: number; skewMs: number; onDeath: () => void }, world: StoreWorld) {
    const { life, name } = place
    this.name = name
    this.life = life
    this.#world = world
    const died = Promise.withResolvers<never>()
    this.died = died.promise
    this.died.catch(() => {})
    const dice = quickDice(`${name} ${life} ${world.seed}`)
    this.gate = new Gate(
      () => ++this.#awaits === this.#diesAt,
      () => {
        this.isReady = false
        for (const tell of this.#deaths) tell()
        place.onDeath()
        died.reject(new Error('connection lost'))
        this.#end.abort()
        for (const supervisor of this.#supervisors) void supervisor.stop()
      },
      () => this.#pause?.promise ?? null,
    )
    this.clock = new ProcessClock(world.clock, place.skewMs, () => this.gate.pass(() => {}))
    this.timers = {
      after: (ms, run) => {
        const stop = new AbortController()
        this.clock.sleep(ms, stop.signal).then(run, () => {})
        return () => stop.abort(null)
      },
    }
    this.link = new StoreLink({ clock: this.clock, world: world.clock, dice })
    this.line = new ChainLine(
      { account: name.startsWith('r') ? 'redeemers' : name, isDown: false },
      { chain: world.chain, clock: this.clock, dice, signal: this.#end.signal },
    )
  }

  /** Calls it when the process dies. */
  onDeath(tell: () => void): void {
    this.#deaths.push(tell)
  }

  get isPaused(): boolean {
    return this.#pause !== null
  }

  /** Stops the process where it is, as SIGSTOP does. */
  pause(): void {
    this.#pause ??= Promise.withResolvers()
    this.line.isDown = true
  }

  resume(): void {
    this.#pause?.resolve()
    this.#pause = null
    this.line.isDown = false
  }

  /** Makes it die after this many more requests or answers. */
  dieAfter(awaits: number): void {
    this.#diesAt = this.#awaits + awaits
  }

  /** Starts services in order. A node whose service fails ends, and is started again. */
  async run(services: readonly Service[]): Promise<void> {
    for (const service of services) {
      if (this.gate.isDead) return
      const supervisor = new Supervisor()
      this.#supervisors.push(supervisor)
      supervisor.failed.catch((error) => this.exit(error))
      await supervisor.start(service)
    }
    this.isReady = !this.gate.isDead
  }

  /** Ends since a service failed: only the store may be the reason. */
  exit(error: unknown): void {
    if (this.gate.isDead) return
    if (!isServersFault(error) && !(error instanceof StoreError))
      this.#world.violations.push(`${this.name} ends: ${messageOf(error)}`)
    this.#world.note(`${this.name} ends: ${messageOf(error)}`)
    this.gate.kill()
  }
}

/** A separate promise for each caller that waits in vain, so that it can be collected. */
function never(): Promise<never> {
  return new Promise(() => {})
}

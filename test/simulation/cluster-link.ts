import { HandedTicketError } from '../../src/domain/handed-ticket.ts'
import { RedeemerCallError } from '../../src/domain/redeemer-call.ts'
import type { WinningTicket } from '../../src/domain/ticket.ts'
import type { Clock } from '../../src/lib/clock.ts'
import type { Address } from '../../src/lib/crypto.ts'
import type { Dice } from '../../src/lib/dice.ts'
import { abortError, messageOf } from '../../src/lib/errors.ts'
import type { RedeemerDesk } from '../../src/services/redemption/redeemer-desk.ts'
import type { RedeemerConnection } from '../../src/services/redemption/redeemer-peers.ts'
import { floatsOf } from '../fakes/floats.ts'
import type { Gate } from './gate.ts'

/** Longer than any caller waits: a late message may arrive after its sender has given up. */
const LATE_MS = 12_000
const SLOW_MS = 200

/** The state of the network between two machines. `refused` closes open connections, `silent` lets them hang. */
export type LinkMood = 'well' | 'refused' | 'silent'

/** The redeemer at the other end, while it is running. */
export interface LinkedRedeemer {
  readonly desk: RedeemerDesk
  /** Rejects when it dies. */
  readonly died: Promise<never>
}

/** What happens to a message and its answer. */
type Fate = 'prompt' | 'lost' | 'answer lost' | 'late' | 'answer late' | 'doubled' | 'slow'

const FATES = ['lost', 'answer lost', 'late', 'answer late', 'doubled', 'slow'] as const

/** An orchestrator's connection to a redeemer over a network that loses, delays and doubles messages. */
export class ClusterLink implements RedeemerConnection {
  readonly name: string
  /** Chance of each fate except `prompt`. */
  readonly #faultChance: number
  readonly #gate: Gate
  readonly #redeemer: () => LinkedRedeemer | null
  readonly #clock: Clock
  readonly #dice: Dice
  readonly #open = new Set<() => void>()
  #mood: LinkMood = 'well'

  constructor(
    options: { name: string; faultChance: number },
    needs: { gate: Gate; redeemer: () => LinkedRedeemer | null; clock: Clock; dice: Dice },
  ) {
    this.name = options.name
    this.#faultChance = options.faultChance
    this.#gate = needs.gate
    this.#redeemer = needs.redeemer
    this.#clock = needs.clock
    this.#dice = needs.dice
  }

  get mood(): LinkMood {
    return this.#mood
  }

  set mood(mood: LinkMood) {
    this.#mood = mood
    if (mood === 'refused') this.reset()
  }

  async queue(ticket: WinningTicket, signal: AbortSignal): Promise<void> {
    return this.#gate.pass(() => this.#call((desk) => desk.queue(ticket), signal))
  }

  async maxFloat(sender: Address, signal: AbortSignal): Promise<bigint> {
    return this.#gate.pass(() => this.#call((desk) => desk.maxFloat(sender), signal))
  }

  async *floats(sender: Address, signal: AbortSignal): AsyncGenerator<bigint, void> {
    const redeemer = this.#reach()
    const until = new AbortController()
    const stop = () => until.abort()
    this.#open.add(stop)
    signal.addEventListener('abort', stop, { once: true })
    try {
      if (redeemer) {
        for await (const value of floatsOf(redeemer.desk, sender, {
          clock: this.#clock,
          signal: until.signal,
        })) {
          if (this.#mood === 'silent') await this.#silence(signal)
          yield value
        }
      } else await this.#silence(signal)
    } finally {
      this.#open.delete(stop)
      signal.removeEventListener('abort', stop)
      until.abort()
    }
    throw signal.aborted ? abortError(signal) : away(this.name)
  }

  reset(): void {
    for (const fail of [...this.#open]) fail()
    this.#open.clear()
  }

  async #call<Answer>(ask: (desk: RedeemerDesk) => Promise<Answer>, signal: AbortSignal): Promise<Answer> {
    const redeemer = this.#reach()
    const fate = this.#fate()
    if (!redeemer || fate === 'lost') return this.#silence(signal)
    const arrives = async () => {
      if (fate === 'late' || fate === 'slow') await this.#clock.sleep(this.#delayMs(fate))
      return this.#arrive(ask)
    }
    const answered = arrives()
    if (fate === 'doubled') arrives().catch(() => {})
    const heard = async () => {
      const answer = await answered
      if (fate === 'answer late') await this.#clock.sleep(this.#delayMs('late'))
      return fate === 'answer lost' || this.#mood !== 'well' ? new Promise<never>(() => {}) : answer
    }
    const given = new AbortController()
    const giveUp = () => given.abort()
    signal.addEventListener('abort', giveUp, { once: true })
    try {
      return await Promise.race([heard(), this.#silence(given.signal)])
    } catch (error) {
      throw signal.aborted ? abortError(signal) : error
    } finally {
      signal.removeEventListener('abort', giveUp)
      given.abort()
    }
  }

  /** A message that arrives is handled by the process running then, even if the caller has given up. */
  async #arrive<Answer>(ask: (desk: RedeemerDesk) => Promise<Answer>): Promise<Answer> {
    const redeemer = this.#redeemer()
    if (!redeemer || this.#mood !== 'well') throw away(this.name)
    try {
      return await Promise.race([
        ask(redeemer.desk),
        redeemer.died.catch(() => Promise.reject(away(this.name))),
      ])
    } catch (error) {
      if (error instanceof RedeemerCallError) throw error
      const fault = error instanceof HandedTicketError ? 'refused' : 'unable'
      throw new RedeemerCallError(fault, messageOf(error))
    }
  }

  /** The redeemer at the other end; null if there is no reaction, and throws if the connection fails at once. */
  #reach(): LinkedRedeemer | null {
    if (this.#mood === 'silent') return null
    const redeemer = this.#mood === 'well' ? this.#redeemer() : null
    if (!redeemer) throw away(this.name)
    return redeemer
  }

  /** Ends only when the caller gives up or the connection is reset. */
  #silence(signal: AbortSignal): Promise<never> {
    return new Promise((_, reject) => {
      const giveUp = () => {
        this.#open.delete(fail)
        reject(abortError(signal))
      }
      const fail = () => {
        signal.removeEventListener('abort', giveUp)
        reject(away(this.name))
      }
      if (signal.aborted) return giveUp()
      this.#open.add(fail)
      signal.addEventListener('abort', giveUp, { once: true })
    })
  }

  #fate(): Fate {
    return FATES[Math.floor(this.#dice.fraction() / this.#faultChance)] ?? 'prompt'
  }

  #delayMs(fate: 'late' | 'slow'): number {
    return fate === 'late' ? Math.floor(this.#dice.fraction() * LATE_MS) : SLOW_MS
  }
}

function away(name: string): RedeemerCallError {
  return new RedeemerCallError('away', `${name}: connection lost`)
}

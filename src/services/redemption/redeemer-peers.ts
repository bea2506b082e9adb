import { type Causes, noCauses } from '../../domain/causes.ts'
import type { NodeEvents } from '../../domain/events.ts'
import { RedeemerCallError } from '../../domain/redeemer-call.ts'
import type { WinningTicket } from '../../domain/ticket.ts'
import { Alarm } from '../../lib/alarm.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import { Listeners } from '../../lib/listeners.ts'
import type { Log } from '../../lib/log.ts'
import { isDoneWithin } from '../../lib/patience.ts'
import type { Scope, Service } from '../../lib/service.ts'

/** How often a redeemer is probed: a connection may be dead without an error. */
const PROBE_EVERY_MS = 10_000
const AWAY_PROBE_EVERY_MS = 2_000
/** A redeemer that does not answer within this time counts as down. */
const PROBE_TIMEOUT_MS = 5_000

/** A connection to one redeemer. Calls throw RedeemerCallError, or an AbortError if the signal is aborted. */
export interface RedeemerConnection {
  /** HOST:PORT. */
  readonly name: string
  queue(ticket: WinningTicket, signal: AbortSignal): Promise<void>
  maxFloat(sender: Address, signal: AbortSignal): Promise<bigint>
  /** The sender's float, now and whenever it changes. Ends when the redeemer ends the stream, throws when it breaks. */
  floats(sender: Address, signal: AbortSignal): AsyncIterable<bigint>
  /** Closes the connection; pending calls fail. */
  reset(): void
}

/** The state of a redeemer, for the operator. */
export interface RedeemerHealth {
  readonly name: string
  readonly answers: boolean
  /** Since when, ms since the epoch; null before the first answer or failure. */
  readonly sinceMs: number | null
  readonly lastError: string | null
}

interface Peer {
  readonly connection: RedeemerConnection
  /** Rung when it stops answering, to probe it more often. */
  readonly alarm: Alarm
  state: 'serves' | 'refuses' | 'away'
  /** Null before the first answer or failure. */
  sinceMs: number | null
  lastError: string | null
}

/** The redeemers of an orchestrator: which of them answer, the preferred one first. */
export class RedeemerPeers implements Service {
  readonly name = 'redeemers'
  readonly #probed: Address
  readonly #clock: Clock
  readonly #log: Log
  readonly #events: NodeEvents | null
  readonly #causes: Causes
  readonly #peers: readonly Peer[]
  readonly #onReturn = new Listeners<void>()

  constructor(
    options: { /** The probe asks for this sender's float; any sender would do. */ probed: Address },
    needs: {
      connections: readonly RedeemerConnection[]
      events?: NodeEvents
      causes?: Causes
      clock: Clock
      log: Log
    },
  ) {
    this.#probed = options.probed
    this.#clock = needs.clock
    this.#log = needs.log
    this.#events = needs.events ?? null
    this.#causes = needs.causes ?? noCauses
    this.#peers = needs.connections.map((connection) => ({
      connection,
      alarm: new Alarm(),
      // Assumed to answer until it fails.
      state: 'serves',
      sinceMs: null,
      lastError: null,
    }))
  }

  start(scope: Scope): void {
    for (const peer of this.#peers) {
      scope.defer(() => peer.connection.reset())
      scope.spawn(`watch ${peer.connection.name}`, (signal) => this.#keepProbing(peer, signal))
    }
  }

  /** The redeemers that answer, the preferred one first. */
  get answering(): readonly RedeemerConnection[] {
    return this.#peers.filter(({ state }) => state !== 'away').map(({ connection }) => connection)
  }

  get health(): readonly RedeemerHealth[] {
    return this.#peers.map(({ connection, state, sinceMs, lastError }) => {
      return { name: connection.name, answers: state !== 'away' && sinceMs !== null, sinceMs, lastError }
    })
  }

  /** Calls the listener whenever a redeemer answers again. */
  onReturn(listener: () => void, signal: AbortSignal): void {
    this.#onReturn.add(listener, signal)
  }

  /** Records the outcome of a call to a redeemer; every caller reports here. */
  report(connection: RedeemerConnection, error: unknown): void {
    const peer = this.#peers.find((known) => known.connection === connection)
    if (!peer || isAbort(error)) return
    const state = stateAfter(error)
    const { name } = connection
    peer.lastError = error ? messageOf(error) : null
    this.#explain(name, state, error)
    if (peer.sinceMs !== null && peer.state === state) return
    const wasKnown = peer.sinceMs !== null
    peer.state = state
    peer.sinceMs = this.#clock.now()
    if (state === 'serves') {
      this.#log.info('redeemer answering', { redeemer: name })
      this.#events?.tell({ kind: 'peer-up', peer: 'redeemer', name })
      this.#onReturn.tell()
      return
    }
    const reason = state === 'away' ? 'away' : 'refused'
    this.#events?.tell({ kind: 'peer-down', peer: 'redeemer', name, reason })
    if (state === 'away') peer.alarm.ring()
    // It came back, although it refuses: a ticket may be handed to it all the same.
    else if (wasKnown) this.#onReturn.tell()
  }

  /** Notes why a redeemer does not serve this orchestrator, or that it does. */
  #explain(redeemer: string, state: Peer['state'], error: unknown): void {
    if (state !== 'away') this.#causes.over('redeemer-away', redeemer)
    if (state !== 'refuses') this.#causes.over('redeemer-refuses', redeemer)
    if (state === 'serves') return
    const facts = { redeemer, error: messageOf(error) }
    if (state === 'away') this.#causes.met({ code: 'redeemer-away', facts }, redeemer)
    else {
      const why = (error as RedeemerCallError).refusal ?? 'other'
      this.#causes.met({ code: 'redeemer-refuses', facts: { ...facts, why } }, redeemer)
    }
  }

  async #keepProbing(peer: Peer, signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#probe(peer, signal)
      await peer.alarm.wait(this.#clock, PROBE_EVERY_MS, signal)
      while (peer.state === 'away') {
        await this.#clock.sleep(AWAY_PROBE_EVERY_MS, signal)
        await this.#probe(peer, signal)
      }
    }
  }

  async #probe({ connection }: Peer, signal: AbortSignal): Promise<void> {
    const enough = new AbortController()
    const asked = connection.maxFloat(this.#probed, AbortSignal.any([signal, enough.signal])).then(
      () => this.report(connection, null),
      (error) => this.report(connection, error),
    )
    if (!(await isDoneWithin(this.#clock, PROBE_TIMEOUT_MS, asked))) {
      connection.reset()
      const text = `${connection.name} did not answer within ${PROBE_TIMEOUT_MS / 1000} s`
      this.report(connection, new RedeemerCallError('away', text))
    }
    enough.abort()
  }
}

/** The state of a redeemer after a call. A refusal of a single ticket says nothing about the orchestrator. */
function stateAfter(error: unknown): Peer['state'] {
  if (!(error instanceof RedeemerCallError)) return 'serves'
  if (error.code === 'away') return 'away'
  return error.refusal === null || error.refusal === 'other' ? 'serves' : 'refuses'
}

import type { NodeEvents } from '../../domain/events.ts'
import { RedeemerCallError } from '../../domain/redeemer-call.ts'
import type { WinningTicket } from '../../domain/ticket.ts'
import { Alarm } from '../../lib/alarm.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import { Listeners } from '../../lib/listeners.ts'
import type { Log } from '../../lib/log.ts'
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
  answers: boolean
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
  readonly #peers: readonly Peer[]
  readonly #onReturn = new Listeners<void>()

  constructor(
    options: { /** The probe asks for this sender's float; any sender would do. */ probed: Address },
    needs: { connections: readonly RedeemerConnection[]; events?: NodeEvents; clock: Clock; log: Log },
  ) {
    this.#probed = options.probed
    this.#clock = needs.clock
    this.#log = needs.log
    this.#events = needs.events ?? null
    this.#peers = needs.connections.map((connection) => ({
      connection,
      alarm: new Alarm(),
      // Assumed to answer until it fails.
      answers: true,
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
    return this.#peers.filter(({ answers }) => answers).map(({ connection }) => connection)
  }

  get health(): readonly RedeemerHealth[] {
    return this.#peers.map(({ connection, answers, sinceMs, lastError }) => {
      return { name: connection.name, answers: answers && sinceMs !== null, sinceMs, lastError }
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
    const isAway = error instanceof RedeemerCallError && error.code === 'away'
    peer.lastError = error ? messageOf(error) : null
    if (peer.sinceMs !== null && peer.answers === !isAway) return
    peer.answers = !isAway
    peer.sinceMs = this.#clock.now()
    if (isAway) {
      this.#log.warn('redeemer not answering, winning tickets are kept', {
        redeemer: connection.name,
        error: messageOf(error),
      })
      this.#events?.tell({ kind: 'peer-down', peer: 'redeemer', name: connection.name, reason: 'away' })
      peer.alarm.ring()
    } else {
      this.#log.info('redeemer answering', { redeemer: connection.name })
      this.#events?.tell({ kind: 'peer-up', peer: 'redeemer', name: connection.name })
      this.#onReturn.tell()
    }
  }

  async #keepProbing(peer: Peer, signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#probe(peer, signal)
      await peer.alarm.wait(this.#clock, PROBE_EVERY_MS, signal)
      while (!peer.answers) {
        await this.#clock.sleep(AWAY_PROBE_EVERY_MS, signal)
        await this.#probe(peer, signal)
      }
    }
  }

  async #probe({ connection }: Peer, signal: AbortSignal): Promise<void> {
    const limit = new AbortController()
    const stop = () => limit.abort(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    const asked = connection.maxFloat(this.#probed, limit.signal).then(
      () => this.report(connection, null),
      (error) => this.report(connection, error),
    )
    const late = this.#clock.sleep(PROBE_TIMEOUT_MS, limit.signal).then(
      () => 'late',
      () => 'over',
    )
    if ((await Promise.race([asked, late])) === 'late') {
      connection.reset()
      const text = `${connection.name} did not answer within ${PROBE_TIMEOUT_MS / 1000} s`
      this.report(connection, new RedeemerCallError('away', text))
    }
    limit.abort()
    signal.removeEventListener('abort', stop)
  }
}

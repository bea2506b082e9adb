import { type Offence, type Patience, refusedForMs, withOffence } from '../../domain/offences.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'

/** A stream that ends several workers is refused for a while, and so is a gateway whose streams end many. */
const SESSION_PATIENCE: Patience = { offences: 3, memoryMs: 60_000, refusalMs: 60_000 }
const PAYER_PATIENCE: Patience = { offences: 9, memoryMs: 600_000, refusalMs: 300_000 }
/** The most recent offenders are remembered, up to this many. */
const MAX_OFFENDERS = 10_000

/** Where a segment comes from: the stream, and the gateway where it is known. */
export interface Origin {
  readonly sessionId: string
  readonly payer?: Address | null
}

/** Why a segment is not worked on. */
export type OffenderFault = 'offender'

/** Refuses, for a while, streams and gateways whose segments ended media workers. */
export interface OffenderRegister {
  /** Throws NodeError `offender` for a stream or a gateway that is refused at present. */
  assertWelcome(origin: Origin): void
  /** Counts a worker that ended over a segment of this origin. */
  blame(origin: Origin): void
  /** Forgets every count: the segments were not to blame. */
  forgive(): void
}

/** Counts the media workers that segments ended: by session, and by payer where it is known. */
export class Offenders implements OffenderRegister {
  readonly #clock: Clock
  readonly #log: Log
  readonly #offences = new Map<string, Offence>()

  constructor({ clock, log }: { clock: Clock; log: Log }) {
    this.#clock = clock
    this.#log = log
  }

  assertWelcome(origin: Origin): void {
    for (const { key, patience, what } of answerableFor(origin)) {
      const forMs = refusedForMs(this.#offences.get(key), this.#clock.now(), patience)
      if (forMs > 0) {
        const seconds = Math.ceil(forMs / 1000)
        throw new NodeError<OffenderFault>(
          'offender',
          `${what} ended ${patience.offences} media workers: refused for ${seconds} s`,
        )
      }
    }
  }

  forgive(): void {
    this.#offences.clear()
  }

  blame(origin: Origin): void {
    for (const { key, patience, what } of answerableFor(origin)) {
      const offence = withOffence(this.#offences.get(key), this.#clock.now(), patience)
      this.#offences.delete(key)
      this.#offences.set(key, offence)
      if (offence.count !== patience.offences) continue
      const fields = {
        sessionId: origin.sessionId,
        payer: origin.payer ?? '',
        refusedForMs: patience.refusalMs,
      }
      this.#log.warn(`${what.toLowerCase()} ended several media workers, refusing it for a while`, fields)
    }
    for (const key of this.#offences.keys()) {
      if (this.#offences.size <= MAX_OFFENDERS) break
      this.#offences.delete(key)
    }
  }
}

function answerableFor({ payer, sessionId }: Origin): { key: string; patience: Patience; what: string }[] {
  const session = { key: `session ${sessionId}`, patience: SESSION_PATIENCE, what: 'This stream' }
  if (!payer) return [session]
  return [session, { key: `payer ${payer}`, patience: PAYER_PATIENCE, what: 'This gateway' }]
}

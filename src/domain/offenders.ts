import type { Clock } from '../lib/clock.ts'
import type { Address } from '../lib/crypto.ts'
import { NodeError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { type Offence, type Patience, refusedForMs, withOffence } from './offences.ts'

/** A stream that ends workers is refused for a while; so is a gateway of which several do. */
const SESSION_PATIENCE: Patience = { offences: 3, memoryMs: 60_000, refusalMs: 60_000 }
const PAYER_PATIENCE: Patience = { offences: 9, memoryMs: 600_000, refusalMs: 300_000 }
/** Offenders that are remembered, the latest. */
const MAX_OFFENDERS = 10_000

/** Who answers for a segment: the stream, and the gateway where it is known. */
export interface Origin {
  readonly sessionId: string
  readonly payer?: Address | null
}

/** Remembers whose segments ended media workers: by session, and by payer where it is known. */
export class Offenders {
  readonly #clock: Clock
  readonly #log: Log
  readonly #offences = new Map<string, Offence>()

  constructor({ clock, log }: { clock: Clock; log: Log }) {
    this.#clock = clock
    this.#log = log
  }

  /** Throws NodeError `offender` for work of somebody who is refused at present. */
  assertWelcome(origin: Origin): void {
    for (const { key, patience, what } of answerableFor(origin)) {
      const forMs = refusedForMs(this.#offences.get(key), this.#clock.now(), patience)
      if (forMs > 0) {
        const seconds = Math.ceil(forMs / 1000)
        throw new NodeError(
          'offender',
          `${what} ended ${patience.offences} media workers: refused for ${seconds} s`,
        )
      }
    }
  }

  /** Forgets all: somebody else was to blame. */
  forgive(): void {
    this.#offences.clear()
  }

  /** A worker ended over their work. */
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
      this.#log.warn(`${what.toLowerCase()} ended several media workers and is refused for a while`, fields)
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

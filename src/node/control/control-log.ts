import type { ControlChange } from '../../io/http/control-route.ts'
import type { ControlChangeRecord } from '../../io/store/control-rows.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { isDoneWithin } from '../../lib/patience.ts'
import { cutTo, escaped } from '../../lib/printable.ts'
import type { NodeProgress } from './context.ts'

/** Of a node without a store, and until the store is open, so many are remembered. */
const MAX_REMEMBERED = 100
const MAX_PARAMS = 20
const MAX_PARAM_CHARS = 200
/** What was asked for is done: its answer waits no longer for a database that may be away. */
const KEEPING_MS = 2_000

/**
 * The record of what operators asked a node for: when, from where, what, and what came of it. It is in the node's store, where
 * there is one, and is only ever added to; the log tells each entry too.
 */
export class ControlLog {
  readonly #clock: Clock
  readonly #log: Log
  readonly #progress: Readonly<NodeProgress>
  readonly #remembered: ControlChangeRecord[] = []

  constructor(needs: { clock: Clock; log: Log; progress: Readonly<NodeProgress> }) {
    this.#clock = needs.clock
    this.#log = needs.log
    this.#progress = needs.progress
  }

  /**
   * Adds an entry. Texts are cut, and unprintable characters escaped. An entry that the store takes after KEEPING_MS is written
   * all the same; rejects if the store has refused it by then.
   */
  async add({ by, from, params, path, result, status }: ControlChange): Promise<void> {
    const record: ControlChangeRecord = {
      ...{ atMs: this.#clock.now(), from, by, path, status },
      params: Object.fromEntries(
        Object.entries(params)
          .slice(0, MAX_PARAMS)
          .map(([name, value]) => [short(name), short(value)]),
      ),
      result: short(result),
    }
    this.#remembered.push(record)
    if (this.#remembered.length > MAX_REMEMBERED) this.#remembered.shift()
    const { params: asked, ...rest } = record
    this.#log.info('asked for a change through the control API', { ...rest, asked })
    if (!this.#isKept) return
    const kept = this.#records!.addControlChange(record)
    if (await isDoneWithin(this.#clock, KEEPING_MS, kept)) return
    kept.catch((error) => this.#log.error('a change could not be recorded', { path, error }))
  }

  /** The newest entries, the newest first. */
  async latest(most: number): Promise<readonly ControlChangeRecord[]> {
    if (!this.#isKept) return this.#remembered.slice(-most).reverse()
    try {
      return await this.#records!.controlChanges(most)
    } catch (error) {
      this.#log.debug('the record of changes cannot be read', { reason: messageOf(error) })
      return this.#remembered.slice(-most).reverse()
    }
  }

  get #records() {
    return this.#progress.running?.parts.core.store.records
  }

  get #isKept(): boolean {
    return this.#progress.running?.live.hasStore ?? false
  }
}

function short(text: string): string {
  return cutTo(MAX_PARAM_CHARS, escaped(text))
}

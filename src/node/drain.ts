import { isAbort, NodeError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'

/** Why a node does not drain, or does not take work again. */
export type DrainFault = 'not-started' | 'stopping'

/** How far a node has gone with taking itself out of its peers' way; null while it takes work. */
export type DrainState = 'draining' | 'drained' | null

/** What drains. Both may be called again. */
export interface Drainable {
  /** Finishes the work for others that runs, and takes no more. Rejects when the signal is aborted. */
  drain(signal: AbortSignal): Promise<void>
  /** Takes work again, after a drain or one whose signal was aborted. */
  undrain(): Promise<void>
}

/** What a drain needs. */
export interface DrainNeeds {
  /** Null until the node has started. */
  readonly parts: () => Drainable | null
  /** Turns health red, for this reason, or green again. */
  readonly waitFor: (what: string | null) => void
  /** Aborted when the node must stop at once. */
  readonly signal: AbortSignal
  readonly log: Log
}

/**
 * Takes a node out of work, and back: at its operator's request, through the control API, or for good at its end. Health
 * turns red first, so that balancers send no new work here.
 */
export class Drain {
  readonly #needs: DrainNeeds
  #state: DrainState = null
  #abort = new AbortController()
  /** Settles when the drain is over, however that ends. */
  #running: Promise<void> = Promise.resolve()
  /** Settles when the node takes work again, where it has been asked to. */
  #undoing: Promise<void> = Promise.resolve()
  #isStopping = false

  constructor(needs: DrainNeeds) {
    this.#needs = needs
  }

  get state(): DrainState {
    return this.#state
  }

  /** Begins to drain, unless the node does already. Throws NodeError `not-started`. */
  begin(): DrainState {
    const { log, parts: partsOf, signal, waitFor } = this.#needs
    const parts = partsOf()
    if (!parts) {
      throw new NodeError<DrainFault>('not-started', 'this node has not started yet: it has nothing to drain')
    }
    if (this.#state !== null) return this.#state
    this.#state = 'draining'
    this.#abort = new AbortController()
    waitFor('running work to finish')
    log.info('draining: no new sessions, finishing running ones')
    this.#running = parts.drain(AbortSignal.any([signal, this.#abort.signal])).then(() => {
      this.#state = 'drained'
      waitFor('livepeer undrain')
      log.info('drained')
    })
    this.#running.catch((error) => {
      if (!isAbort(error)) log.error('the node could not drain', { error })
    })
    return this.#state
  }

  /** Takes work again. Throws NodeError `stopping`, `not-started` or `cannot-listen`. */
  async undo(): Promise<void> {
    const parts = this.#needs.parts()
    if (!parts) throw new NodeError<DrainFault>('not-started', 'this node has not started yet')
    if (this.#isStopping) {
      throw new NodeError<DrainFault>('stopping', 'this node is about to end: start it again instead')
    }
    this.#undoing = this.#undoing.catch(() => {}).then(() => this.#undo(parts))
    await this.#undoing
  }

  /** Drains for good, because the node ends. Resolves once that is done, or the node must stop at once; throws what fails. */
  async finish(): Promise<void> {
    this.#isStopping = true
    await this.#undoing.catch(() => {})
    this.begin()
    try {
      await this.#running
    } catch (error) {
      if (!isAbort(error)) throw error
    }
  }

  async #undo(parts: Drainable): Promise<void> {
    const { log, waitFor } = this.#needs
    if (this.#state === null) return
    this.#abort.abort()
    await this.#running.catch(() => {})
    await parts.undrain()
    this.#state = null
    waitFor(null)
    log.info('taking work again')
  }
}

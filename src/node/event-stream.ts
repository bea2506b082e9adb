import type { NodeEvent, NodeEvents } from '../domain/events.ts'
import { messageOf } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'

/** Hands what happens in the node to everything that listens, in the order in which it happens. */
export class EventStream implements NodeEvents {
  readonly #log: Log
  readonly #listeners: ((event: NodeEvent) => void)[] = []

  constructor(needs: { readonly log: Log }) {
    this.#log = needs.log
  }

  /** Adds a listener for the life of the node. */
  listen(listener: (event: NodeEvent) => void): void {
    this.#listeners.push(listener)
  }

  /** Tells every listener. One that fails is logged: what happened is a fact, and its teller must not fail for it. */
  tell(event: NodeEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch (error) {
        this.#log.error('event listener failed', { event: event.kind, error: messageOf(error) })
      }
    }
  }
}

import type { NodeEvent, NodeEventOf, NodeEvents } from '../../src/domain/events.ts'

/** What a test does with events, by their kind. */
export type EventHandlers = { readonly [Kind in NodeEvent['kind']]?: (event: NodeEventOf<Kind>) => void }

/** Events of which a test hears those it names. */
export function eventsTo(handlers: EventHandlers = {}): NodeEvents {
  return {
    tell: (event) => {
      const handler = handlers[event.kind] as ((event: NodeEvent) => void) | undefined
      handler?.(event)
    },
  }
}

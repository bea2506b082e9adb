import type { NodeEvent } from '../../domain/events.ts'

/** What has happened since the start, counted for the status. */
export class Totals {
  segmentsTranscoded = 0
  segmentsFailed = 0
  /** Attempts beyond the first of a segment. */
  segmentsRetried = 0
  /** Segments sent to the same orchestrator again after a fault of what lies between. */
  segmentsResent = 0
  ticketsSent = 0
  ticketsAccepted = 0
  paymentsRefused = 0
  readonly #handedTicketsRefused = new Map<string, number>()

  /** Tickets of other orchestrators that were refused here, by reason. */
  get handedTicketsRefused(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#handedTicketsRefused)
  }

  /** Counts an event. */
  hear(event: NodeEvent): void {
    switch (event.kind) {
      case 'segment-done':
        this.segmentsTranscoded++
        break
      case 'segment-failed':
        this.segmentsFailed++
        break
      case 'segment-retried':
        this.segmentsRetried++
        break
      case 'segment-resent':
        if (event.cause === 'in-transit') this.segmentsResent++
        break
      case 'payment-sent':
        this.ticketsSent += event.tickets
        break
      case 'payment-accepted':
        this.ticketsAccepted += event.tickets
        break
      case 'payment-refused':
        this.paymentsRefused++
        break
      case 'handed-ticket-refused': {
        const { reason } = event
        this.#handedTicketsRefused.set(reason, (this.#handedTicketsRefused.get(reason) ?? 0) + 1)
        break
      }
    }
  }
}

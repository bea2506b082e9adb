import type { ControlAnswer, ControlRoutes } from '../io/http/control-api.ts'
import type { Clock } from '../lib/clock.ts'
import { messageOf, NodeError } from '../lib/errors.ts'
import type { Drain } from './drain.ts'
import type { Parts } from './parts.ts'
import type { StatusFacts } from './status/facts.ts'
import { statusOf } from './status/status.ts'

/** What peers answer without `-monitor`, as for any path that does not exist. */
const NOT_FOUND = { text: '404 page not found\n', status: 404 }

/** How far a node has come, which changes while it runs. */
export interface NodeProgress {
  /** Why it cannot be given work yet, or any more; null while it can. */
  waitingFor: string | null
  /** Whether all its services have started. */
  hasStarted: boolean
  /** Null until its parts are made. */
  running: { readonly parts: Parts; readonly facts: StatusFacts } | null
}

/** The routes of the control API (operations.md §4). They answer from the start on, so that a slow start can be watched. */
export function controlRoutes(
  progress: Readonly<NodeProgress>,
  node: {
    readonly version: string
    readonly hasMetrics: boolean
    readonly clock: Clock
    readonly drain: Pick<Drain, 'state'>
  },
): ControlRoutes {
  return {
    '/status': async () => {
      const { hasStarted, running, waitingFor } = progress
      const { clock, drain, version } = node
      const soFar = { version, nowMs: clock.now(), waitingFor, hasStarted, drain: drain.state }
      return { json: await statusOf(running, soFar) }
    },
    '/metrics': async () => {
      if (!node.hasMetrics) return NOT_FOUND
      const metrics = progress.running?.parts.core.metrics
      return metrics ? await metrics.text() : notReady(progress.waitingFor)
    },
    '/healthz': () => {
      const reason = progress.waitingFor ?? progress.running?.parts.unready ?? null
      return reason === null ? { text: '' } : notReady(reason)
    },
  }
}

function notReady(reason: string | null): { text: string; status: number } {
  return { text: `not ready, waits for ${reason ?? 'its start'}\n`, status: 503 }
}

/** What the control API does to a node: `/drain` takes it out of work and answers at once, `/undrain` takes it back. */
export function controlActions(drain: Pick<Drain, 'begin' | 'state' | 'undo'>): ControlRoutes {
  return {
    '/drain': () => answered(() => drain.begin()),
    '/undrain': () => answered(() => drain.undo()),
  }

  async function answered(act: () => unknown): Promise<ControlAnswer> {
    try {
      await act()
      return { json: { drain: drain.state } }
    } catch (error) {
      if (!(error instanceof NodeError)) throw error
      return { text: `${messageOf(error)}\n`, status: 409 }
    }
  }
}

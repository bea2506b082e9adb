import { type ControlAnswer, ControlError, type ControlRoute, route } from '../../io/http/control-route.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { PatientRead } from '../status/patient-read.ts'
import { statusOf } from '../status/status.ts'
import { type ControlledNode, notReady } from './context.ts'
import { familiarStatus } from './familiar-status.ts'

/** How many of the latest changes are shown. */
const SHOWN_CHANGES = 20

/** The routes about the node as a process: its state, its streams, whether it takes work (operations.md §4). */
export function nodeRoutes(node: ControlledNode): ControlRoute[] {
  const { progress } = node
  const changes = new PatientRead(() => node.changes.latest(SHOWN_CHANGES), node.clock)
  const yesOrNo = (path: string, about: string, is: () => boolean) =>
    route(path, { about, changes: false, answer: () => ({ text: String(is()) }) })
  return [
    route('/status', {
      about: 'The state of the node: roles, chain, sessions, tickets, money, and what keeps it from work.',
      changes: false,
      answer: async () => {
        const { hasStarted, running, waitingFor } = progress
        const { clock, drain, version } = node
        const soFar = { version, nowMs: clock.now(), waitingFor, hasStarted, drain: drain.state }
        const [status, latest] = await Promise.all([statusOf(running, soFar), changes.look()])
        if (!running) return { json: status }
        const settings = running.live.changed()
        return {
          json: {
            ...status,
            ...(settings.length > 0 && { settings }),
            ...(latest && latest.length > 0 && { changes: latest }),
            ...(await familiarStatus(running, version)),
          },
        }
      },
    }),
    route('/metrics', {
      about: 'The metrics of the node, for Prometheus; only with -monitor.',
      changes: false,
      answer: async () => {
        // What peers answer without `-monitor`, as for any path that does not exist.
        if (!node.settings.metrics.enabled) return { text: '404 page not found\n', status: 404 }
        const metrics = progress.running?.parts.core.metrics
        if (!metrics) throw notReady(progress)
        return metrics.text()
      },
    }),
    route('/healthz', {
      about: 'Whether the node can be given work: 200, or 503 and what it waits for.',
      changes: false,
      isOpen: true,
      answer: () => {
        const waitingFor = progress.waitingFor ?? progress.running?.parts.unready ?? null
        if (waitingFor !== null) throw notReady({ ...progress, waitingFor })
        return { text: '' }
      },
    }),
    route('/drain', {
      about: 'Takes the node out of work: it finishes what runs, and takes nothing new.',
      changes: true,
      answer: () => drained(node, () => node.drain.begin()),
    }),
    route('/undrain', {
      about: 'Gives a drained node work again.',
      changes: true,
      answer: () => drained(node, () => node.drain.undo()),
    }),
    yesOrNo(
      '/IsOrchestrator',
      'Whether the node is an orchestrator.',
      () => node.settings.orchestrator !== null,
    ),
    yesOrNo('/IsRedeemer', 'Whether the node is a redeemer.', () => node.settings.redeemer !== null),
    route('/streamID', {
      about: 'The source of the newest stream, as NAME/source; / for none.',
      changes: false,
      answer: () => {
        const newest = newestStream(node)
        return { text: newest === null ? '/' : `${newest}/source` }
      },
    }),
    route('/manifestID', {
      about: 'The name of the newest stream; empty for none.',
      changes: false,
      answer: () => ({ text: newestStream(node) ?? '' }),
    }),
    route('/localStreams', {
      about: 'An empty list, as peers answer.',
      changes: false,
      answer: () => ({ bare: [] }),
    }),
    route('/debug', {
      about: 'The newest stream and its renditions, as text.',
      changes: false,
      answer: () => ({ text: `\n\nLatestPlaylist: ${newestPlaylist(node)}` }),
    }),
  ]
}

function newestStream({ progress }: ControlledNode): string | null {
  return progress.running?.parts.gateway?.gateway.status().at(-1)?.manifestId ?? null
}

function newestPlaylist({ progress }: ControlledNode): string {
  return progress.running?.parts.gateway?.gateway.currentPlaylist() ?? '<nil>'
}

async function drained(node: ControlledNode, act: () => unknown): Promise<ControlAnswer> {
  try {
    await act()
    return { json: { drain: node.drain.state } }
  } catch (error) {
    if (!(error instanceof NodeError)) throw error
    throw new ControlError('refused', messageOf(error), 409)
  }
}

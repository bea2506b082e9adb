import { setTimeout as sleep } from 'node:timers/promises'
import { noCauses } from '../../src/domain/causes.ts'
import type { NodeEvent } from '../../src/domain/events.ts'
import { presets } from '../../src/domain/rendition.ts'
import { GatewayHttp, type GatewayHttpOptions } from '../../src/io/http/gateway-http.ts'
import type { RecordedStreams } from '../../src/io/http/recordings.ts'
import { MemoryObjects } from '../../src/io/objects/memory-objects.ts'
import { type Clock, ManualClock, systemClock } from '../../src/lib/clock.ts'
import { noSigner } from '../../src/lib/crypto.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { Discovery } from '../../src/services/gateway/discovery.ts'
import { Gateway } from '../../src/services/gateway/gateway.ts'
import type { GatewayOptions } from '../../src/services/gateway/gateway-needs.ts'
import type { OrchestratorSource } from '../../src/services/gateway/orchestrator-source.ts'
import type { OutletNeeds } from '../../src/services/gateway/outlet.ts'
import type { Outlets } from '../../src/services/gateway/outlets.ts'
import type { PushedSegment } from '../../src/services/gateway/pushed-segment.ts'
import type { StreamAuthority } from '../../src/services/gateway/stream-authority.ts'
import type { Recorder } from '../../src/services/recordings/recorder.ts'
import { lintPlaylist } from '../tools/playlist-lint.ts'
import { FakeMedia, FakeNetwork, FakeOrchestrator, RecordingPayer } from './gateway.ts'

/** A gateway with its port, and by default one fake orchestrator. */
export async function startGatewayPort(
  options: Partial<GatewayHttpOptions & GatewayOptions> = {},
  orchestrators = [new FakeOrchestrator('https://o1:8935')],
  given: {
    authority?: StreamAuthority | null
    clock?: Clock
    source?: OrchestratorSource
    recorder?: Recorder
    recordings?: RecordedStreams
    outlets?: (needs: OutletNeeds) => Outlets
  } = {},
) {
  const { authority = null, clock = systemClock, recorder = null, recordings } = given
  const network = new FakeNetwork(clock, ...orchestrators)
  const dice = seededDice('http')
  const shared = { client: network, payer: new RecordingPayer(), signer: noSigner, clock, dice }
  const events: NodeEvent[] = []
  const told = { tell: (event: NodeEvent) => void events.push(event) }
  const directory = new Discovery(
    { timeoutMs: 500, extraNodes: 0, blocklist: [] },
    {
      ...shared,
      source: given.source ?? {
        candidates: async () =>
          orchestrators.map(
            ({ url }) => ({ url, trust: 'trusted', mustBePayable: false, reach: 'any' }) as const,
          ),
        stakeOf: () => 0n,
      },
      log: silentLog,
      events: told,
    },
  )
  const gateway = new Gateway(
    {
      maxSessions: 10,
      maxAttempts: 3,
      profiles: presets.slice(-2),
      weights: null,
      localVerify: false,
      minOrchestratorVersion: '',
      ...options,
    },
    {
      ...shared,
      directory,
      facts: { stakeOf: () => 0n, perfScoreOf: () => null },
      media: new FakeMedia(),
      store: new MemoryObjects(),
      log: silentLog,
      events: told,
      authority,
      recorder,
      ...(given.outlets && { outlets: given.outlets({ clock, log: silentLog, causes: noCauses }) }),
    },
  )
  const served: PushedSegment[] = []
  const watched = {
    serve: (segment: PushedSegment, signal: AbortSignal) => {
      served.push(segment)
      return gateway.serve(segment, signal)
    },
    admit: gateway.admit.bind(gateway),
    nameOf: gateway.nameOf.bind(gateway),
    masterPlaylist: (name: string) => linted(gateway.masterPlaylist(name)),
    currentPlaylist: () => linted(gateway.currentPlaylist()),
    mediaPlaylist: (name: string, rendition: string) => linted(gateway.mediaPlaylist(name, rendition)),
    stored: gateway.stored.bind(gateway),
  }
  const http = new GatewayHttp(
    { host: '127.0.0.1', port: 0, httpIngest: true, currentManifest: false, ...options },
    { gateway: watched, clock, dice, log: silentLog, events: told, ...(recordings && { recordings }) },
  )
  const supervisor = new Supervisor()
  try {
    if (recorder) await supervisor.start(recorder)
    await supervisor.start(gateway)
    await supervisor.start(http)
  } catch (error) {
    await supervisor.stop()
    throw error
  }
  const base = `http://127.0.0.1:${http.port}`
  return {
    gateway,
    http,
    base,
    orchestrators,
    /** Complete segments in order of arrival. */
    served,
    events,
    push: (path: string, headers: Record<string, string> = {}, body = 'codec=h264', method = 'PUT') =>
      fetch(`${base}${path}`, { method, headers, ...(method === 'GET' ? {} : { body }) }),
    [Symbol.asyncDispose]: async () => {
      let isStopped = false
      const stopped = supervisor.stop().finally(() => {
        isStopped = true
      })
      // What is under way is waited for by this clock, which no test winds any more.
      while (clock instanceof ManualClock && !isStopped) {
        await clock.wind(1_000)
        await sleep(1)
      }
      await stopped
    },
  }
}

/** Every playlist that a test asks for keeps to the rules. */
function linted(text: string | null): string | null {
  if (text !== null) lintPlaylist(text)
  return text
}

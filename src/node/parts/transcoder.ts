import { hostname } from 'node:os'
import type { TranscoderSettings } from '../../config/settings.ts'
import { announcedVersion, type Capabilities, transcodingCapabilities } from '../../domain/capabilities.ts'
import { offered, trialPictureOf } from '../../domain/duties.ts'
import { commonCapabilities } from '../../domain/media-abilities.ts'
import { describeHardware } from '../../domain/transcoder-notice.ts'
import { patternSegment } from '../../io/media/engine/pattern.ts'
import { TranscoderClient } from '../../io/rpc/transcoder-client.ts'
import type { Service } from '../../lib/service.ts'
import { EngineCapacity } from '../../services/transcoding/engine-capacity.ts'
import { StandaloneTranscoder } from '../../services/transcoding/standalone-transcoder.ts'
import type { Environment, Media } from '../environment.ts'
import type { Core } from './core.ts'

/** Short, so that the node is soon ready; twice the length gave the same speed when measured. */
const TRIAL_SEGMENT_MS = 1_000
const TRIAL_BITRATE = 4_000_000

/** The engine of a node that transcodes, and the work for an orchestrator in another process. */
export class TranscoderParts {
  readonly media: Media
  /** The engine, with a measure of what it can do. */
  readonly capacity: EngineCapacity
  /** What the node announces of its engine. */
  readonly capabilities: Capabilities
  /** Null in an orchestrator's own process. */
  readonly worker: StandaloneTranscoder | null
  readonly services: readonly Service[]

  constructor(core: Core, settings: TranscoderSettings) {
    const { duties, env, media } = core
    const { ladder } = settings
    this.media = media
    this.capabilities = offered(engineCapabilities(env, settings), {
      fetchesUris: core.settings.orchestrator?.sources != null,
    })
    const trial = { ...trialPictureOf(ladder), segmentMs: TRIAL_SEGMENT_MS, bitrate: TRIAL_BITRATE }
    this.capacity = new EngineCapacity(
      {
        get maxSessions() {
          return core.limits.maxSessions
        },
        ladder,
      },
      { ...env, engine: media, sample: (signal) => patternSegment(trial, signal) },
    )
    const engine = [media, this.capacity]
    if (!duties.transcodesElsewhere) {
      this.worker = null
      this.services = engine
      return
    }
    const { client } = core
    const link = new TranscoderClient({
      ...env,
      ...{ sources: settings.sources, own: core.ownCerts },
      download: (url, signal) => client.download(url, signal),
    })
    this.worker = new StandaloneTranscoder(
      {
        ...{ orchestrators: settings.orchestrators, secret: core.settings.secrets.orchSecret },
        ...{ capabilities: this.capabilities, version: env.version },
        name: settings.name || hostname(),
        hardware: describeHardware(env.machine?.devices.map(({ device }) => device) ?? [], env.cpus),
      },
      { ...env, link, engine: this.capacity },
    )
    this.services = [...engine, client, link, this.worker]
  }
}

/** What the engine was found to do. A stand-in for it is not tried out, and announces no more than every node does. */
function engineCapabilities(
  { machine, version }: Environment,
  { hevcDecoding }: TranscoderSettings,
): Capabilities {
  const devices = machine ? (machine.devices.length > 0 ? machine.devices : [machine.cores]) : null
  const found = devices ? commonCapabilities(devices) : []
  return transcodingCapabilities({ version: announcedVersion(version), found, hevcDecoding })
}

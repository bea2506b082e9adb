import type { Parts } from '../parts.ts'
import type { StatusFacts } from '../status/facts.ts'

/** `/status` as peers have it (operations.md §4); this node's own fields begin with a small letter, so that both fit. */
export interface FamiliarStatus {
  /** The variants of each stream's master playlist, by the name of the stream. */
  readonly Manifests: Readonly<Record<string, { readonly Variants: readonly { readonly URI: string }[] }>>
  /** The name under which a stream is pushed, and that under which it is played. */
  readonly InternalManifests: Readonly<Record<string, string>>
  readonly StreamInfo: Readonly<Record<string, never>>
  readonly OrchestratorPool: readonly string[]
  readonly OrchestratorPoolInfos:
    | readonly { readonly Url: string; readonly Score: number; readonly Latency: null }[]
    | null
  readonly Version: string
  readonly GolangRuntimeVersion: string
  readonly GOArch: string
  readonly GOOS: string
  readonly RegisteredTranscodersNumber: number
  readonly RegisteredTranscoders: readonly { readonly Address: string; readonly Capacity: number }[]
  readonly LocalTranscoding: boolean
  /** Wei per pixel, as a fraction. */
  readonly BroadcasterPrices: Readonly<Record<string, string>>
}

/** An orchestrator is trusted fully, or found on chain. */
const TRUSTED = 1

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64' }

/** The fields of `/status` that programs for other nodes read. */
export async function familiarStatus(
  { facts, parts }: { readonly parts: Parts; readonly facts: StatusFacts },
  version: string,
): Promise<FamiliarStatus> {
  const { duties, gateway, orchestrator } = parts
  const streams = gateway?.gateway.status() ?? []
  const transcoders = orchestrator && duties.takesTranscoders ? orchestrator.transcoders.status() : []
  const pool = await facts.orchestrators()
  return {
    Manifests: Object.fromEntries(
      streams.map(({ manifestId, profiles }) => [
        manifestId,
        { Variants: ['source', ...profiles].map((name) => ({ URI: `${manifestId}/${name}.m3u8` })) },
      ]),
    ),
    InternalManifests: Object.fromEntries(
      streams.flatMap(({ externalId, manifestId }) =>
        externalId === manifestId ? [] : [[externalId, manifestId] as const],
      ),
    ),
    StreamInfo: {},
    OrchestratorPool: pool,
    OrchestratorPoolInfos:
      pool.length === 0 ? null : pool.map((Url) => ({ Url, Score: TRUSTED, Latency: null })),
    Version: version,
    GolangRuntimeVersion: `node ${process.versions.node}`,
    GOArch: ARCHITECTURES[process.arch] ?? process.arch,
    GOOS: process.platform,
    RegisteredTranscodersNumber: transcoders.length,
    RegisteredTranscoders: transcoders.map(({ address, capacity }) => ({
      Address: address,
      Capacity: capacity,
    })),
    LocalTranscoding: orchestrator === null || duties.transcodes,
    BroadcasterPrices: orchestrator?.prices ? pricesIn(orchestrator.prices) : {},
  }
}

function pricesIn({
  everyone,
  single,
}: {
  everyone: () => { toString(): string }
  single: ReadonlyMap<string, () => { toString(): string }>
}): Record<string, string> {
  const agreed = [...single].map(([gateway, price]) => [gateway.toLowerCase(), price().toString()] as const)
  return { ...Object.fromEntries(agreed), default: everyone().toString() }
}

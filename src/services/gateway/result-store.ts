import { bitsOf, capability } from '../../domain/capabilities.ts'
import { extensionOf, type Profile } from '../../domain/rendition.ts'
import { maxRenditionBytes, type OrchestratorInfo, type StorageInfo } from '../../domain/segment.ts'
import { objectPath } from '../../domain/stream-name.ts'
import type { Outlet } from './outlet.ts'
import { SOURCE } from './stream.ts'

/** How long an orchestrator may save the results of one segment: longer than any segment is worked on. */
const GRANT_MS = 30 * 60_000
/** As orchestrators name sessions (wire.md §9); other names could lead to files of others. */
const SESSION_ID = /^[0-9a-f]{8}$/

/** The segment whose results are saved. */
export interface StoredSegment {
  readonly manifestId: string
  readonly sequence: bigint
  readonly bytes: Uint8Array
  readonly durationMs: number
  readonly profiles: readonly Profile[]
}

/** The store outside, as one segment's orchestrators use it: each may save renditions below the id of its session. */
export class ResultStore {
  readonly #outlet: Outlet
  readonly #urls = new Map<Uint8Array, string>()
  /** Where results may be saved now: several orchestrators may have one segment at once. */
  readonly #granted = new Set<string>()

  constructor(outlet: Outlet) {
    this.#outlet = outlet
  }

  /** What an orchestrator is given to save its results with; nothing where it or the store cannot. */
  grantFor(segment: StoredSegment, info: OrchestratorInfo): readonly StorageInfo[] {
    const below = placeOf(segment, info)
    if (below === null) return []
    const maxBytes = Math.max(...segment.profiles.map((profile) => limitOf(segment, profile)))
    const granted = this.#outlet.grant(below, { validMs: GRANT_MS, maxBytes })
    if (!granted) {
      this.#granted.delete(below)
      return []
    }
    this.#granted.add(below)
    return [granted]
  }

  /**
   * Whether fewer results than there should be may be the store's fault: peers leave out what they could not save (wire.md
   * §19). If so, nothing is granted until this node has saved a segment itself.
   */
  mayHaveLost(segment: StoredSegment, info: OrchestratorInfo, results: number): boolean {
    const below = placeOf(segment, info)
    if (below === null || !this.#granted.has(below) || results >= segment.profiles.length) return false
    this.#outlet.doubt()
    return true
  }

  /**
   * The bytes of a rendition that its orchestrator saved in the store; null where its URL is not that of its file there.
   * Throws StoreError.
   */
  async load(
    url: string,
    profile: Profile,
    { info, segment }: { readonly segment: StoredSegment; readonly info: OrchestratorInfo },
    signal: AbortSignal,
  ): Promise<Uint8Array | null> {
    const below = placeOf(segment, info)
    if (below === null) return null
    const path = objectPath(below, profile.name, segment.sequence, extensionOf(profile.format))
    const own = this.#outlet.urlOf(path)
    if (own === null || !areSame(own, url)) return null
    const bytes = await this.#outlet.load(path, { maxBytes: limitOf(segment, profile), signal })
    if (bytes) this.#urls.set(bytes, own)
    return bytes
  }

  /** The URL of a rendition that came from the store; null for others. */
  urlOf(bytes: Uint8Array): string | null {
    return this.#urls.get(bytes) ?? null
  }
}

function limitOf({ bytes, durationMs }: StoredSegment, profile: Profile): number {
  return maxRenditionBytes(profile, { durationMs, sourceBytes: bytes.length })
}

/** Where an orchestrator's results of a stream lie; null where it cannot have a place. */
function placeOf(
  { manifestId, profiles }: StoredSegment,
  { authToken, capabilities }: OrchestratorInfo,
): string | null {
  const id = authToken?.sessionId ?? ''
  const isTaken = id === SOURCE || profiles.some(({ name }) => name === id)
  const canSave = bitsOf(capabilities?.bitstring ?? []).includes(capability.storageS3)
  return canSave && SESSION_ID.test(id) && !isTaken ? `${manifestId}/${id}` : null
}

/** Peers do not percent-encode what they put into a URL. */
function areSame(own: string, other: string): boolean {
  return own === other || decodeURI(own) === other || decodeURIComponent(own) === other
}

import type { StorageInfo } from '../../domain/segment.ts'
import type { ObjectStore } from '../../lib/object-store.ts'

/** A store outside this process, from which others may fetch. */
export interface OutsideStore extends ObjectStore {
  /** For people and logs: without keys. */
  readonly shown: string
  /** Loads what its use takes, so that the first segment does not wait for it. Nothing is connected to. */
  prepare?(): Promise<void>
  /** Where others fetch a file of this path; null where they cannot. */
  urlOf(path: string): string | null
  /**
   * What lets another node save files below a path, for a while (wire.md §5, OSInfo); null where the store has nothing of
   * the kind. It holds no secret.
   */
  grant(below: string, limits: GrantLimits): StorageInfo | null
}

/** What a grant allows. */
export interface GrantLimits {
  readonly validMs: number
  /** Of each file. */
  readonly maxBytes: number
}

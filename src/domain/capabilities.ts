/** What a node can do, or a job needs (wire.md §7). Bit n is position n mod 64 of word ⌊n/64⌋. */
export interface Capabilities {
  /** Words of 64 bits; never a trailing zero word. */
  readonly bitstring: readonly bigint[]
  readonly mandatories: readonly bigint[]
  /** Capability number to capacity. */
  readonly capacities: ReadonlyMap<number, number>
  /** The node's version, semver; empty in a job. */
  readonly version: string
  /** The least version that the job accepts of a node; empty for any. */
  readonly minVersion: string
  /** Capability number to model name to constraint: only compared, never offered by us. */
  readonly perCapability: ReadonlyMap<number, ReadonlyMap<string, ModelConstraint>>
}

/** What a job asks of one model, or a node offers (wire.md §5). */
export interface ModelConstraint {
  readonly warm: boolean
  readonly capacity: number
  readonly runnerVersion: string
  readonly capacityInUse: number
}

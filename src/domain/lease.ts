/** How long a lease is valid after it was taken or renewed, by the database's clock. */
export const LEADER_LEASE_MS = 6_000

/** What a leader's write carries: it is refused once another process has taken the lease. */
export interface Fence {
  readonly lease: string
  /** Which of the lease's holders writes: each one has a higher number than the one before. */
  readonly epoch: bigint
  /** The run of the process that writes: after a failover that lost the last commits, two may have had one number. */
  readonly instance: string
}

/** A process's wish to hold a lease, or to go on holding it. */
export interface LeaseWish {
  readonly lease: string
  /** One run of a process: 16 hexadecimal digits. */
  readonly instance: string
  /** The node's id, for people. */
  readonly node: string
  /** A process with a higher rank takes the lease from one with a lower rank, although that one is alive. */
  readonly rank: number
  /** Whether the process holds the session by which others find out at once that it is gone. */
  readonly isWatched: boolean
}

/** Who holds a lease. */
export interface LeaseHolder extends Pick<LeaseWish, 'instance' | 'node' | 'rank'> {
  readonly epoch: bigint
}

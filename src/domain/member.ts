/** The work of a member of a cluster, as it tells its siblings. */
export interface MemberWork {
  /** Whether siblings may hand it segments. */
  readonly takesSegments: boolean
  /** The sessions that it takes at once, and those that have a place now. */
  readonly maxSessions: number
  readonly sessions: number
  /** Segments that are under way. */
  readonly segments: number
  /** What it can do, by the numbers of capabilities; absent where it does not say. */
  readonly can?: readonly number[]
}

/** What one process at a time does for a whole cluster. */
export type LedDuty = 'redeem' | 'redeem late' | 'reward' | 'initialize rounds'

/** A duty that a member leads, and for how long it has. */
export interface Led {
  readonly duty: LedDuty
  readonly forMs: number
}

/** A process that is a member of a cluster. */
export interface Member {
  /** The node's id: 16 hexadecimal digits, kept over restarts. */
  readonly node: string
  /** One run of its process: 16 hexadecimal digits. */
  readonly instance: string
  /** Its account; empty offchain. */
  readonly account: string
  readonly roles: readonly string[]
  readonly version: string
  /** HOST:PORT at which siblings reach it. */
  readonly address: string
  /** SHA-256 of its TLS certificate, as bytes with colons between; empty while siblings cannot call it. */
  readonly fingerprint: string
  readonly work: MemberWork
  /** The duties that it leads; absent for none. */
  readonly leads?: readonly Led[]
}

/** A member as its siblings find it in the store. */
export interface SeenMember extends Member {
  /** What was left of its lease by the database's clock, in ms; below 0 since it has run out. */
  readonly leftMs: number
}

/** The work of a node that does none for gateways. */
export const NO_WORK: MemberWork = { takesSegments: false, maxSessions: 0, sessions: 0, segments: 0 }

/** The roles whose transactions one process at a time sends with an account. */
const SENDING: readonly string[] = ['orchestrator', 'redeemer', 'reward', 'roundInitializer']

/**
 * A sibling with the account of this node and other roles: of the two only the one that leads sends with it, and what that one
 * does not do is not done. Null where there is none.
 */
export function sharesKey<Sibling extends Pick<Member, 'account' | 'roles'>>(
  own: Pick<Member, 'account' | 'roles'>,
  siblings: readonly Sibling[],
): Sibling | null {
  const sending = ({ roles }: Pick<Member, 'roles'>) => SENDING.filter((role) => roles.includes(role)).join()
  const isOther = (sibling: Sibling) => sibling.account === own.account && sending(sibling) !== sending(own)
  return own.account === '' ? null : (siblings.find(isOther) ?? null)
}

/** How many more sessions a member takes. */
export function roomOf({ work }: Pick<Member, 'work'>): number {
  return work.takesSegments ? Math.max(0, work.maxSessions - work.sessions) : 0
}

import { type Causes, noCauses } from '../../domain/causes.ts'
import {
  type Led,
  type Member,
  type MemberWork,
  NO_WORK,
  type SeenMember,
  sharesKey,
} from '../../domain/member.ts'
import { formatHex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { isDoneWithin } from '../../lib/patience.ts'
import type { Scope, Service } from '../../lib/service.ts'

/** How long a member counts as alive after its last renewal, by the database's clock. */
export const LEASE_MS = 6_000
const RENEW_EVERY_MS = 2_000
/** How often a node looks whether its own lease has run out. */
const WATCH_EVERY_MS = 500
/** While another process has this node's row, its start looks so often whether that one is alive. */
const WAIT_EVERY_MS = 500
/** Clocks that differ by more than this are reported. */
const CLOCK_TOLERANCE_MS = 2_000
/** A start waits no longer than this for the lease of an earlier process. */
const MAX_WAIT_MS = 2 * LEASE_MS
/** At its end a node gives its row back, but does not wait longer than this for a database that does not answer. */
const LEAVE_MS = 2_000
const INSTANCE_BYTES = 8

/** Why a node cannot be a member of its cluster. */
export type MembershipFault = 'node-id-in-use' | 'taken-over'

/** Why a node cannot be a member of its cluster. The message is for the operator. */
export class MembershipError extends NodeError<MembershipFault> {
  override name = 'MembershipError'
}

/** The members' rows in the store of a cluster. */
export interface MemberRecords {
  /**
   * Writes the row of a member, for so long from now. A row of another process of that node is replaced if its lease has run
   * out, or on request if it has the same address. Gives the database's time in ms, or null where the row was not written.
   */
  renew(member: Member, lease: { readonly ms: number; readonly takesOver: boolean }): Promise<number | null>
  /** All rows that can be read, those renewed last first. */
  members(): Promise<readonly SeenMember[]>
  /** Deletes the row of this process, if it has one. */
  leave(member: Pick<Member, 'node' | 'instance'>): Promise<void>
}

/** What a node says of itself. */
export interface MembersOptions extends Pick<Member, 'node' | 'account' | 'roles' | 'version'> {
  /** HOST:PORT at which siblings reach it; found out at the start. */
  readonly address: () => Promise<string>
}

/** What membership needs. */
export interface MembersNeeds {
  readonly records: MemberRecords
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  readonly causes?: Causes
  /** Milliseconds since any moment, which never jump; absent: the system's. */
  readonly monotonic?: () => number
}

/**
 * This node's membership in its cluster, and its siblings. It leases a row in the store; once it could not renew it in time
 * it counts itself out, before the others do. Its start throws MembershipError `node-id-in-use` where another living
 * process has its id, and it fails with `taken-over` once another one has taken its row.
 */
export class Members implements Service {
  readonly name = 'members'
  readonly instance: string
  readonly #options: MembersOptions
  readonly #needs: MembersNeeds
  readonly #causes: Causes
  readonly #monotonic: () => number
  #address = ''
  #fingerprint = ''
  #work: () => MemberWork = () => NO_WORK
  #leads: () => readonly Led[] = () => []
  /** On the node's monotonic clock; null before the first renewal. */
  #leaseEndMs: number | null = null
  /** Why the last renewal failed; null if it succeeded. */
  #failure: string | null = null
  /** The database's clock less the node's. */
  #clockAheadMs = 0
  #seen: readonly SeenMember[] = []
  #seenAtMs = 0
  /** One renewal after the other. */
  #renewing: Promise<void> = Promise.resolve()

  constructor(options: MembersOptions, needs: MembersNeeds) {
    this.#options = options
    this.#needs = needs
    this.#causes = needs.causes ?? noCauses
    this.#monotonic = needs.monotonic ?? (() => performance.now())
    this.instance = formatHex(needs.dice.bytes(INSTANCE_BYTES)).slice(2)
  }

  async start(scope: Scope): Promise<void> {
    this.#address = await this.#options.address()
    await this.#join(scope.signal)
    scope.defer(() => this.#leave())
    scope.spawn('renew the membership', async (signal) => {
      for (;;) {
        await this.#needs.clock.sleep(RENEW_EVERY_MS, signal)
        await this.#renewSafely()
      }
    })
    scope.spawn('watch the membership', async (signal) => {
      for (;;) {
        await this.#needs.clock.sleep(WATCH_EVERY_MS, signal)
        this.#watch()
      }
    })
  }

  /** This node's id. */
  get node(): string {
    return this.#options.node
  }

  /** HOST:PORT at which siblings reach this node, once started. */
  get address(): string {
    return this.#address
  }

  /** Lets siblings call this node: its certificate, and its work, read at each renewal. */
  async open(port: { readonly fingerprint: string }, work: () => MemberWork): Promise<void> {
    this.#fingerprint = port.fingerprint
    this.#work = work
    await this.#renewSafely()
  }

  /** Tells siblings what this node leads, read at each renewal. */
  showLeads(leads: () => readonly Led[]): void {
    this.#leads = leads
  }

  /** Tells siblings of this node's work now, rather than with the next renewal. */
  async renew(): Promise<void> {
    await this.#renewSafely()
  }

  /** Whether siblings have been told how to call this node. */
  get isOpen(): boolean {
    return this.#fingerprint !== ''
  }

  /** Whether this node's lease holds. */
  get isIn(): boolean {
    return this.#leaseEndMs !== null && this.#monotonic() < this.#leaseEndMs
  }

  /** All members, those renewed last first, with what is left of their leases now. */
  get all(): readonly SeenMember[] {
    const sinceMs = this.#monotonic() - this.#seenAtMs
    return this.#seen.map((member) => ({ ...member, leftMs: member.leftMs - sinceMs }))
  }

  /**
   * The other members that are alive, those renewed last first. While this node's own lease has run out, the store says
   * nothing about them either: then those that were alive when it was last read.
   */
  get siblings(): readonly SeenMember[] {
    const members = this.isIn ? this.all : this.#seen
    return members.filter(({ leftMs, node }) => leftMs > 0 && node !== this.node)
  }

  /** The database's time, by which siblings agree, in ms since the epoch. */
  get nowMs(): number {
    return this.#needs.clock.now() + this.#clockAheadMs
  }

  /** Reads the members again, for one that is not known yet, or to be shown. */
  async look(): Promise<void> {
    const atMs = this.#monotonic()
    const seen = await this.#needs.records.members()
    // An answer that took long must not take the place of one that was asked for later.
    if (atMs < this.#seenAtMs) return
    this.#seen = seen
    this.#seenAtMs = atMs
  }

  get #self(): Member {
    const { account, node, roles, version } = this.#options
    const leads = this.#leads()
    return {
      ...{ node, instance: this.instance, account, roles, version },
      ...{ address: this.#address, fingerprint: this.#fingerprint, work: this.#work() },
      ...(leads.length > 0 && { leads }),
    }
  }

  /** Takes the row; one of a process at another address once its lease has run out. Throws where it is renewed. */
  async #join(signal: AbortSignal): Promise<void> {
    const startMs = this.#monotonic()
    let before: SeenMember | null = null
    for (;;) {
      if (await this.#renew(true)) return
      const holder = this.#holder
      const isAlive = before !== null && holder !== null && isRenewed(before, holder)
      if (isAlive || this.#monotonic() - startMs > MAX_WAIT_MS) {
        throw inUse(this.node, holder?.address ?? 'an unknown address')
      }
      if (before === null && holder !== null) {
        this.#needs.log.info('waiting for the lease of an earlier process', { address: holder.address })
      }
      before = holder ?? before
      await this.#needs.clock.sleep(WAIT_EVERY_MS, signal)
    }
  }

  /** The process that has this node's row, as it was last read. */
  get #holder(): SeenMember | null {
    return this.#seen.find(({ instance, node }) => node === this.node && instance !== this.instance) ?? null
  }

  /** Renews the row and reads the others. False where another process has it. */
  async #renew(takesOver: boolean): Promise<boolean> {
    const { clock, records } = this.#needs
    const [startMs, wallMs] = [this.#monotonic(), clock.now()]
    const databaseMs = await records.renew(this.#self, { ms: LEASE_MS, takesOver })
    const tookMs = this.#monotonic() - startMs
    if (databaseMs !== null) {
      this.#leaseEndMs = startMs + LEASE_MS
      this.#compareClocks(databaseMs - wallMs - tookMs / 2, tookMs / 2)
    }
    await this.look()
    return databaseMs !== null
  }

  /** Never rejects because of the database; throws MembershipError once another process has taken the row. */
  #renewSafely(): Promise<void> {
    const renewal = this.#renewing.then(async () => {
      try {
        if (!(await this.#renew(false))) throw this.#lost()
        this.#failure = null
        this.#compareRoles()
      } catch (error) {
        if (error instanceof MembershipError) throw error
        this.#failure = messageOf(error)
        this.#needs.log.debug('membership not renewed', { error })
      }
      this.#watch()
    })
    this.#renewing = renewal.catch(() => {})
    return renewal
  }

  #lost(): MembershipError {
    this.#leaseEndMs = null
    const holder = this.#holder
    const by = holder ? ` at ${holder.address}` : ''
    return new MembershipError(
      'taken-over',
      `another process${by} has taken the place of this node, ${this.node}, in the cluster, so this one stops`,
    )
  }

  #watch(): void {
    if (this.isIn) this.#causes.over('membership-lapsed')
    if (this.isIn || this.#leaseEndMs === null) return
    const silentMs = this.#monotonic() - this.#leaseEndMs + LEASE_MS
    const reason = this.#failure ?? 'it does not answer'
    this.#causes.met({ code: 'membership-lapsed', facts: { silentMs, reason } })
  }

  #compareRoles(): void {
    const { account, roles } = this.#options
    const sibling = sharesKey({ account, roles }, this.siblings)
    if (sibling) {
      const facts = { account, roles, sibling: sibling.address, others: sibling.roles }
      this.#causes.met({ code: 'account-in-two-roles', facts })
    } else this.#causes.over('account-in-two-roles')
  }

  #compareClocks(aheadMs: number, uncertainMs: number): void {
    this.#clockAheadMs = aheadMs
    if (Math.abs(aheadMs) - uncertainMs <= CLOCK_TOLERANCE_MS) this.#causes.over('clock-differs')
    else this.#causes.met({ code: 'clock-differs', facts: { aheadMs } })
  }

  async #leave(): Promise<void> {
    const { clock, log, records } = this.#needs
    const leaving = this.#renewing
      .then(() => records.leave(this.#self))
      .catch((error) => log.debug('membership not given back', { error }))
    await isDoneWithin(clock, LEAVE_MS, leaving)
    this.#leaseEndMs = null
  }
}

/** Whether the process of a row has renewed it between two looks, or has given way to another. */
function isRenewed(before: SeenMember, now: SeenMember): boolean {
  return now.instance !== before.instance || now.leftMs > before.leftMs
}

function inUse(node: string, address: string): MembershipError {
  return new MembershipError(
    'node-id-in-use',
    `the node id ${node} of this data folder belongs to a running node at ${address}: give each node its own -dataDir, or remove the file node-id from a copied one`,
  )
}

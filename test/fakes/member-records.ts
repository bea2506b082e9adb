import type { Member, SeenMember } from '../../src/domain/member.ts'
import type { Clock } from '../../src/lib/clock.ts'
import type { MemberRecords } from '../../src/services/cluster/members.ts'

/** The members of a cluster in memory, which several nodes of a test share. Its clock is the database's. */
export class FakeMemberRecords implements MemberRecords {
  readonly #clock: Clock
  readonly rows = new Map<string, Member & { leaseEnd: number }>()
  /** Awaited by every call: rejects for a database that is away, or does not resolve for one that is frozen. */
  reach: () => Promise<void> = async () => {}

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async renew(member: Member, lease: { ms: number; takesOver: boolean }): Promise<number | null> {
    await this.reach()
    const nowMs = this.#clock.now()
    const row = this.rows.get(member.node)
    const isFree = row && (row.address === member.address || row.leaseEnd <= nowMs)
    if (row && row.instance !== member.instance && !(lease.takesOver && isFree)) return null
    this.rows.set(member.node, { ...member, leaseEnd: nowMs + lease.ms })
    return nowMs
  }

  async members(): Promise<readonly SeenMember[]> {
    await this.reach()
    const nowMs = this.#clock.now()
    return [...this.rows.values()]
      .sort((a, b) => b.leaseEnd - a.leaseEnd)
      .map(({ leaseEnd, ...member }) => ({ ...member, leftMs: leaseEnd - nowMs }))
  }

  async leave({ instance, node }: Pick<Member, 'node' | 'instance'>): Promise<void> {
    await this.reach()
    if (this.rows.get(node)?.instance === instance) this.rows.delete(node)
  }
}

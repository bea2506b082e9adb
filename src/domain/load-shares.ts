import { type Member, roomOf } from './member.ts'

/** A node carries clearly more than its share above this multiple of it, and by more than this many sessions. */
const CLEARLY = { times: 1.25, sessions: 1 }
/** A connection stays where it is for at least this long. */
const STAYS_MS = 10_000
/** One that carries more than is too much here would only move the excess: nodes take turns at it. */
const TURN_MS = 20_000
/** The part of its connections that a node moves at a time, but at least one. */
const MAX_PART = 1 / 4

/** One connection of gateways to this node. */
export interface ConnectionLoad {
  readonly id: number
  /** Segments that came over it lately. */
  readonly segments: number
  readonly ageMs: number
}

/**
 * The connections that this node asks gateways to open anew, so that a balancer gives them to another node: none, unless it
 * has clearly more than its share of the cluster's sessions, by the sizes of its nodes, and a sibling with less than its
 * own has room. Those are moved that carry about half of what is too much, since siblings do the same, and never all.
 */
export function connectionsToMove(
  own: Pick<Member, 'work'>,
  siblings: readonly Pick<Member, 'work'>[],
  connections: readonly ConnectionLoad[],
): readonly number[] {
  const others = siblings.filter(({ work }) => work.takesSegments && work.maxSessions > 0)
  const all = [own, ...others]
  const sessions = sum(all.map(({ work }) => work.sessions))
  const size = sum(all.map(({ work }) => work.maxSessions))
  const shareOf = ({ work }: Pick<Member, 'work'>) => (sessions * work.maxSessions) / Math.max(1, size)
  const share = shareOf(own)
  const excess = own.work.sessions - share
  if (own.work.sessions <= share * CLEARLY.times || excess <= CLEARLY.sessions) return []
  if (!others.some((other) => roomOf(other) > 0 && other.work.sessions < shareOf(other))) return []
  const segments = sum(connections.map((connection) => connection.segments))
  if (segments === 0) return []
  const movable = connections
    .filter((connection) => connection.segments > 0 && connection.ageMs >= STAYS_MS)
    .map((connection) => ({ ...connection, carries: (own.work.sessions * connection.segments) / segments }))
    .sort((a, b) => b.carries - a.carries)
  const most = Math.max(1, Math.floor(connections.length * MAX_PART))
  const chosen: number[] = []
  let moved = 0
  for (const { carries, id } of movable) {
    if (chosen.length === most || moved >= excess / 2) break
    if (moved + carries > excess) continue
    chosen.push(id)
    moved += carries
  }
  if (chosen.length > 0) return chosen
  const [largest] = movable
  return largest && largest.ageMs >= TURN_MS ? [largest.id] : []
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

import { bitstringOf, isSubset } from './capabilities.ts'
import { roomOf, type SeenMember } from './member.ts'

/** What this node knows of a sibling beyond its row. */
export interface SiblingNews {
  /** Segments that were handed to it and are not done. */
  readonly handed: number
  /** It could not be reached, or answered what no node would: left out for a while. */
  readonly isOut: boolean
  /** It has refused a segment since its row was renewed. */
  readonly isFull: boolean
}

/**
 * The siblings that may be handed a segment with these words of capabilities, in the order in which they are asked: those
 * with the most room for their size, of equals the one renewed last; then those that are full by their rows, which may be
 * some seconds old.
 */
export function siblingsToAsk(
  siblings: readonly SeenMember[],
  newsOf: (node: string) => SiblingNews,
  needed: readonly bigint[] = [],
): readonly SeenMember[] {
  return siblings
    .filter(({ fingerprint, node, work }) => fingerprint !== '' && work.takesSegments && !newsOf(node).isOut)
    .filter(({ work: { can } }) => !can || isSubset(needed, bitstringOf(can)))
    .map((member) => ({ member, share: shareOf(member, newsOf(member.node)) }))
    .sort((a, b) => b.share - a.share || b.member.leftMs - a.member.leftMs)
    .map(({ member }) => member)
}

/** Whether one of the siblings has room for another session. */
export function haveRoom(siblings: readonly SeenMember[], newsOf: (node: string) => SiblingNews): boolean {
  return siblings.some(
    (member) =>
      member.fingerprint !== '' && !newsOf(member.node).isOut && shareOf(member, newsOf(member.node)) > 0,
  )
}

/** The part of a sibling that is free, from 0 to 1. */
function shareOf(member: SeenMember, { handed, isFull }: SiblingNews): number {
  if (isFull) return 0
  return Math.max(0, roomOf(member) - handed) / Math.max(1, member.work.maxSessions)
}

import { type Capabilities, satisfies } from '../../domain/capabilities.ts'
import { PoolError } from './pool-error.ts'
import type { Member } from './transcoder-member.ts'

/** A segment that needs a transcoder. */
export interface Choice {
  readonly members: Iterable<Member>
  /** The transcoder of the segment's session. */
  readonly current: Member | undefined
  /** Transcoders that had the segment already. */
  readonly tried: ReadonlySet<Member>
  /** What the segment takes; null for anything. */
  readonly wanted: Capabilities | null
  /** Whether this node's own engine would be late with it. */
  isLocalLate(): boolean
}

/**
 * The transcoder that gets a segment: that of its session, or else of those that suit it the one with the least load
 * (wire.md §13). Throws PoolError when there is none.
 */
export function chooseTranscoder({ current, isLocalLate, members, tried, wanted }: Choice): Member {
  const isGood = current && !current.isSilent && !current.isDoubtful
  if (isGood && !tried.has(current)) return current
  const untried = [...members].filter((member) => !tried.has(member) && !member.isSilent)
  const suitable = untried.filter(({ capabilities }) => !wanted || satisfies(wanted, capabilities))
  const timely = timelyOf(suitable, isLocalLate)
  const best = leastLoaded(timely.filter(({ isDoubtful }) => !isDoubtful))
  if (best?.hasRoom) return best
  const doubtful = leastLoaded(timely.filter(({ isDoubtful }) => isDoubtful))
  if (doubtful?.hasRoom) return doubtful
  // One that may come back to life is better than none.
  if (current && !tried.has(current)) return current
  throw new PoolError(
    'no-transcoder',
    untried.length > 0 && !best && !doubtful
      ? 'no transcoders can provide requested capabilities'
      : 'no transcoders available',
  )
}

/** Without the own engine where that would be late and another has room. */
function timelyOf(suitable: readonly Member[], isLocalLate: () => boolean): readonly Member[] {
  const others = suitable.filter(({ isLocal }) => !isLocal)
  if (others.length === suitable.length || !others.some(({ hasRoom }) => hasRoom)) return suitable
  return isLocalLate() ? others : suitable
}

function leastLoaded([first, ...others]: readonly Member[]): Member | undefined {
  return others.reduce((least, next) => (least && next.load < least.load ? next : least), first)
}

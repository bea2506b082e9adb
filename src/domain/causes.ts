import type { CauseCode, CauseFacts, CauseKind, Side } from './cause-facts.ts'
import { CAUSES } from './cause-table.ts'

/** Something that keeps a node from part of its work, with its numbers. Only codes of the closed table exist. */
export type Cause = { readonly [Code in CauseCode]: CauseOf<Code> }[CauseCode]

/** The cause of one code. */
export interface CauseOf<Code extends CauseCode> {
  readonly code: Code
  readonly facts: CauseFacts[Code]
}

/** Where services note causes. Noting one that is noted already counts it: nothing is said twice. */
export interface Causes {
  /** Notes one occurrence. `about` tells apart causes of one code, such as a sender's address. */
  met(cause: Cause, about?: string): void
  /** Ends a cause. Nothing happens if it was not there. */
  over(code: CauseCode, about?: string): void
}

/** For services that nobody asks why, as in tests. */
export const noCauses: Causes = { met: () => {}, over: () => {} }

/** A cause in words, for a log, a screen or a peer. */
export interface CauseText {
  /** Fixed for its code, so that it can be searched for. */
  readonly title: string
  /** What is wrong, with its numbers. */
  readonly says: string
  /** What to change. */
  readonly change: string
}

/** What a cause says, and what to change. */
export function textOf({ code, facts }: Cause): CauseText {
  const { change, says, title } = CAUSES[code] as CauseKind<never>
  return { title, says: says(facts as never), change: change(facts as never) }
}

/** A cause as one sentence: what is wrong, and what to change. */
export function sentenceOf(cause: Cause): string {
  const { change, says } = textOf(cause)
  return `${says}: ${change}`
}

/** Whose side a cause is on: who must act. */
export function sideOf(code: CauseCode): Side {
  return CAUSES[code].side
}

/** How urgent a cause is for the log: `error` where work is lost until somebody acts. */
export function levelOf(code: CauseCode): 'warn' | 'error' {
  return CAUSES[code].level ?? 'warn'
}

/** After how long without a further occurrence a cause is over, in ms; null if only its end ends it. */
export function passesAfterMs(code: CauseCode): number | null {
  return CAUSES[code].passesMs ?? null
}

/** All codes that a node of these roles can meet, in the order of the table. */
export function codesOf(roles: ReadonlySet<string>): CauseCode[] {
  const codes = Object.keys(CAUSES) as CauseCode[]
  return codes.filter((code) => CAUSES[code].of.some((role) => roles.has(role)))
}

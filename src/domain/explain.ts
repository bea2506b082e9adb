import { CAUSE_EXAMPLES } from './cause-examples.ts'
import type { CauseCode, Side } from './cause-facts.ts'
import { CAUSES } from './cause-table.ts'
import { type Cause, textOf } from './causes.ts'
import { REFUSALS, refusalIn } from './refusal-table.ts'

/** What a code or a text of this network means. */
export interface Explanation {
  /** The code of a problem, or the text of a refusal. */
  readonly name: string
  /** What the log says; null for a peer's text, which says itself. */
  readonly title: string | null
  /** Who must act. */
  readonly side: Side
  /** For a problem: an example of it, with numbers. */
  readonly means: string
  readonly change: string
}

/** All problems in the order of their table. */
export function problems(): Explanation[] {
  return (Object.keys(CAUSES) as CauseCode[]).map((code) => {
    const { change, says, title } = textOf({ code, facts: CAUSE_EXAMPLES[code] } as Cause)
    return { name: code, title, side: CAUSES[code].side, means: says, change }
  })
}

/** All refusals of peers in the order of their table. */
export function refusals(): Explanation[] {
  return REFUSALS.map(({ change, means, side, text }) => ({ name: text, title: null, side, means, change }))
}

/**
 * What explains a code, or a message that contains a known text; without any, whatever contains the words asked for.
 * Empty if nothing does.
 */
export function explanationsOf(asked: string): Explanation[] {
  const words = asked.trim().toLowerCase()
  if (words === '') return []
  const known = problems()
  const refusal = refusalIn(words)
  const exact = [
    ...known.filter(({ name, title }) => name === words || words.includes(title!.toLowerCase())),
    ...refusals().filter(({ name }) => name === refusal?.text),
  ]
  if (exact.length > 0) return exact
  return [...known, ...refusals()].filter(({ name, title }) =>
    [name, title ?? ''].some((text) => text.toLowerCase().includes(words)),
  )
}

import type { Clock } from '../../lib/clock.ts'

/** The command line of a command that acts with a node's account, and where the output goes. */
export interface OperateEnvironment {
  /** All words after the program's name: the command, then its arguments. */
  readonly argv: readonly string[]
  readonly variables: Readonly<Record<string, string | undefined>>
  /** The text of a readable, non-empty, regular file; null for anything else. */
  readonly readText: (path: string) => string | null
  /** Creates a file that its owner alone can read. Throws a sentence where it cannot, or there is one already. */
  readonly writeNew: (path: string, text: string) => void
  readonly clock: Clock
  readonly write: (text: string) => void
  readonly writeError: (text: string) => void
  /** Asks a person; null where there is no terminal. */
  readonly ask: ((question: string, signal: AbortSignal) => Promise<string>) | null
  /** The same, without showing what is typed: for a password. */
  readonly askHidden: ((question: string) => Promise<string>) | null
}

/** A command line that cannot be read. */
export class UsageError extends Error {
  override name = 'UsageError'
}

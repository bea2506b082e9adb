import { messageOf } from '../lib/errors.ts'

/** Words of a command line for `parseArgs`: options may have one dash or two, as everywhere. */
export function eitherDash(words: readonly string[]): string[] {
  return words.map((word) => (/^-[a-zA-Z]{2,}/.test(word) ? `-${word}` : word))
}

/** What is wrong with a command line, of what reading it threw: the first sentence, since `parseArgs` goes on with advice. */
export function usageFault(error: unknown): string {
  return messageOf(error).split('. ', 1)[0]!
}

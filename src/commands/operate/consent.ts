import type { ReadCommand } from './command-line.ts'
import { type OperateEnvironment, UsageError } from './environment.ts'

/** Throws UsageError where a command would have to ask before it goes on, and cannot. */
export function assertCanAsk({ command, options }: ReadCommand, { ask }: OperateEnvironment): void {
  if (options.yes === true || (ask !== null && options.json !== true)) return
  const instead = command.options?.some(({ name }) => name === 'dry-run') ? ', or --dry-run' : ''
  throw new UsageError(
    `livepeer ${command.name} asks before it goes on, and cannot here: give --yes${instead}`,
  )
}

/** Asks unless --yes is given. Throws a sentence where the person does not agree; ending the question counts as no. */
export async function agrees(
  question: string,
  line: ReadCommand,
  env: OperateEnvironment,
  signal: AbortSignal,
): Promise<void> {
  if (line.options.yes === true) return
  assertCanAsk(line, env)
  const answer = await env.ask!(question, signal).catch(() => '')
  if (!/^y(es)?$/i.test(answer.trim())) throw new Error('nothing was done')
}

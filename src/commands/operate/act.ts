import { z } from 'zod'
import { messageOf } from '../../lib/errors.ts'
import type { Action } from './actions.ts'
import { accountOf, optionOf } from './actions.ts'
import { type DryRun, dryRunSchema, linesOfDryRun, linesOfSent, sentSchema } from './answers.ts'
import type { ReadCommand } from './command-line.ts'
import { agrees, assertCanAsk } from './consent.ts'
import { type OperateEnvironment, UsageError } from './environment.ts'
import { type FoundNode, findNode } from './find-node.ts'
import { tellLines, writeJson } from './output.ts'
import { writeUnsigned } from './unsigned.ts'

/** How often the node is asked what it has sent so far. */
const LOOK_MS = 1_000
/** After this long without news, that it still waits is said. */
const STILL_WAITING_MS = 30_000

const chainSchema = z.object({
  chain: z.object({
    account: z.string(),
    transactions: z.array(z.object({ purpose: z.string(), txHash: z.string() })),
  }),
  recipient: z.string().optional(),
})

/**
 * Runs a command that sends transactions: says what will be sent, simulated on the chain; asks; sends it; follows it until
 * it is mined. Returns the exit code. Throws UsageError, or a sentence.
 */
export async function runAction(
  line: ReadCommand,
  action: Action,
  env: OperateEnvironment,
  signal: AbortSignal,
): Promise<0 | 1> {
  const { command, options } = line
  const request = action.request(line)
  const given = accountOf(line, 'from')
  const [isDry, json] = [options['dry-run'] === true, options.json === true]
  const file = optionOf(line, 'unsigned')
  if (given !== null && !isDry && file === null)
    throw new UsageError('--from goes with --unsigned or --dry-run')
  if (isDry && file !== null) throw new UsageError('--dry-run and --unsigned do not go together')
  if (!isDry && file === null) assertCanAsk(line, env)
  const tell = (lines: readonly string[]) => tellLines(line, env, lines)

  const node = await findNode(line, action.role, env, signal)
  const from = given ?? (await accountFor(node, file !== null, signal))
  const { path, values } = request({ from: from ?? '' })
  const trial = { ...values, dryRun: 'true', ...(from !== null && { from }) }
  const planned = await node.reading.change(path, trial, dryRunSchema, signal)
  tell(linesOfDryRun(planned))
  if (isDry) {
    if (json) writeJson(env, planned)
    return 0
  }
  if (file !== null) {
    writeUnsigned(file, command.name, planned, env)
    const own = planned.steps.flatMap(({ call, isDone, step }) => (call || isDone ? [] : [step]))
    tell([
      `written to ${file}, unsigned: livepeer tx sign ${file} signs it where the key of ${planned.from} is`,
      ...own.map(
        (step) => `not in the file, since it is done on the node itself: ${step} (livepeer price set)`,
      ),
    ])
    if (json) writeJson(env, { file, ...planned })
    return 0
  }
  await agrees('Send this? [y/N] ', line, env, signal)
  const sent = await send(node, { path, values }, planned, env, signal)
  if (json) writeJson(env, sent)
  else tell(linesOfSent(sent))
  return 0
}

/** The account that a request is for; null for the node's own, which sends. */
async function accountFor(node: FoundNode, isPrepared: boolean, signal: AbortSignal): Promise<string | null> {
  const { chain, recipient } = await node.reading.read('/status', chainSchema, signal)
  return isPrepared ? (recipient ?? chain.account) : chain.account
}

/** Sends, and tells of each transaction as the node lists it. What was sent goes on when the waiting ends. */
async function send(
  { name, reading, sending }: FoundNode,
  { path, values }: { readonly path: string; readonly values: Readonly<Record<string, string>> },
  planned: DryRun,
  env: OperateEnvironment,
  signal: AbortSignal,
) {
  const over = new AbortController()
  const seen = new Map<string, string>()
  const following = follow(reading, purposesOf(planned), seen, env, AbortSignal.any([signal, over.signal]))
  try {
    return await sending.change(path, { ...values, details: 'true' }, sentSchema, signal)
  } catch (error) {
    const sent = [...seen].map(([hash, purpose]) => `${hash} (${purpose})`).join(', ')
    if (signal.aborted) {
      const what = seen.size === 0 ? 'it may have sent what was asked' : `sent so far: ${sent}`
      throw new Error(`${name} goes on with it; ${what}; livepeer status shows what waits to be mined`)
    }
    throw new Error(`${name}: ${messageOf(error)}${seen.size === 0 ? '' : `; sent: ${sent}`}`)
  } finally {
    over.abort()
    await following
  }
}

async function follow(
  node: FoundNode['reading'],
  purposes: ReadonlySet<string>,
  seen: Map<string, string>,
  env: OperateEnvironment,
  signal: AbortSignal,
): Promise<void> {
  let quietMs = 0
  while (!signal.aborted) {
    const status = await node.read('/status', chainSchema, signal).catch(() => null)
    const fresh = (status?.chain.transactions ?? []).filter(
      ({ purpose, txHash }) => purposes.has(purpose) && !seen.has(txHash),
    )
    for (const { purpose, txHash } of fresh) {
      seen.set(txHash, purpose)
      env.writeError(`sent ${txHash} (${purpose}), waiting until it is mined\n`)
    }
    quietMs = fresh.length > 0 ? 0 : quietMs + LOOK_MS
    if (quietMs >= STILL_WAITING_MS) {
      quietMs = 0
      env.writeError('still waiting\n')
    }
    await env.clock.sleep(LOOK_MS, signal).catch(() => {})
  }
}

function purposesOf({ steps }: DryRun): ReadonlySet<string> {
  return new Set(steps.flatMap(({ call }) => (call ? [call.purpose] : [])))
}

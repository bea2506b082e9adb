import { z } from 'zod'
import { messageOf } from '../../lib/errors.ts'
import { ControlClient } from '../control-client.ts'
import { addressOf, fetchFrom, textOf, tokenOf } from '../control-target.ts'
import { plain } from '../status/answer.ts'
import { USUAL_PORTS } from '../status/command.ts'
import { optionOf } from './actions.ts'
import type { ReadCommand } from './command-line.ts'
import { type OperateEnvironment, UsageError } from './environment.ts'

/** How long a usual port may take to answer. */
const LOOK_TIMEOUT_MS = 3_000
/** A transaction is waited for as long as the node waits, with replacements. */
const SENDING_TIMEOUT_MS = 24 * 60 * 60 * 1_000

/** A node that does what a command asks. */
export interface FoundNode {
  readonly name: string
  /** For what it has in memory or reads. */
  readonly reading: ControlClient
  /** For what sends transactions. */
  readonly sending: ControlClient
}

const statusSchema = z.object({
  version: z.string(),
  roles: z.array(z.string()).optional(),
  chain: z.unknown(),
})

/**
 * The node that a command is for: the one that it names, or the one that answers at the usual ports of this machine; where
 * several do, the one with the role. Throws UsageError, or a sentence.
 */
export async function findNode(
  line: ReadCommand,
  role: string | null,
  env: OperateEnvironment,
  signal: AbortSignal,
): Promise<FoundNode> {
  const token = usable(() => tokenOf(optionOf(line, 'token') ?? undefined, env))
  const given = optionOf(line, 'node')
  if (given !== null) {
    const [name, url] = usable(() => addressOf(given))
    return nodeAt(plain(name), url, token)
  }
  const looked = await Promise.all(
    USUAL_PORTS.map(async (port) => {
      const [name, url] = addressOf(String(port))
      return { name, url, status: await look(url, token, signal) }
    }),
  )
  const found = looked.filter(({ status }) => status !== null)
  const fitting = found.filter(({ status }) => role === null || status!.roles?.includes(role))
  const chosen = fitting.length > 0 ? fitting : found
  const [one] = chosen
  if (!one) {
    throw new Error(
      `no node with a chain answers at the usual control ports of this machine (${USUAL_PORTS.join(', ')}): start one, or name its -cliAddr with --node HOST:PORT`,
    )
  }
  if (chosen.length > 1) {
    throw new Error(
      `several nodes answer, at ${chosen.map(({ name }) => name).join(', ')}: name one with --node HOST:PORT`,
    )
  }
  return nodeAt(one.name, one.url, token)
}

function nodeAt(name: string, url: string, token: string): FoundNode {
  const target = { url, token }
  return {
    name,
    reading: new ControlClient(target, { timeoutMs: 60_000 }),
    sending: new ControlClient(target, { timeoutMs: SENDING_TIMEOUT_MS }),
  }
}

/** Null where no node with a chain answers. */
async function look(url: string, token: string, signal: AbortSignal) {
  try {
    const response = await fetchFrom({ url, token }, '/status', {
      method: 'GET',
      signal,
      timeoutMs: LOOK_TIMEOUT_MS,
    })
    const status = statusSchema.parse(JSON.parse(await textOf(response)))
    return status.chain === undefined || status.chain === null ? null : status
  } catch {
    signal.throwIfAborted()
    return null
  }
}

function usable<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new UsageError(messageOf(error), { cause: error })
  }
}

import { z } from 'zod'
import { ETH_TYPED, exactAmount } from '../../domain/typed-amount.ts'
import { Rpc } from '../../io/chain/rpc.ts'
import { readSigned, type SignedTransaction, SignedTransactions } from '../../io/chain/signed-transactions.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { optionOf, takes } from './actions.ts'
import { linesOfCall } from './answers.ts'
import { checkedWords, expectationOf } from './checked-transactions.ts'
import type { ReadCommand } from './command-line.ts'
import { agrees } from './consent.ts'
import { type OperateEnvironment, UsageError } from './environment.ts'
import { findNode } from './find-node.ts'
import { tellLines, writeJson } from './output.ts'
import { textOf } from './sign.ts'
import { readTransactionFile, type SignedFile } from './transaction-file.ts'

const LOOK_MS = 1_000
/** How long a transaction may take to be mined before the command gives up waiting. */
const PATIENCE_MS = 10 * 60_000

const integer = z
  .string()
  .regex(/^\d{1,80}$/)
  .transform((text) => BigInt(text))
const stateSchema = z.discriminatedUnion('state', [
  z.object({ state: z.enum(['unknown', 'pending', 'overtaken']) }),
  z.object({ state: z.enum(['mined', 'failed']), block: integer, feeWei: integer }),
])
type State = z.output<typeof stateSchema>

/** Where signed transactions go. */
interface Door {
  readonly send: (raw: Hex) => Promise<void>
  readonly look: (raw: Hex) => Promise<State>
}

/** Endpoints lag behind each other: it is believed once it was said so often in a row. */
const OVERTAKEN_LOOKS = 3

interface Done {
  readonly about: string
  readonly hash: Hex
  readonly block: bigint
  readonly feeWei: bigint
}

/**
 * Sends signed transactions one after the other, each once the one before is mined. What is mined already is left out.
 * Returns the exit code. Throws UsageError, or a sentence.
 */
export async function sendTransactions(
  line: ReadCommand,
  env: OperateEnvironment,
  signal: AbortSignal,
): Promise<0 | 1> {
  const [path] = takes(line, 'FILE')
  const expectation = expectationOf(line)
  const content = readTransactionFile(textOf(path, env), path)
  if (content.state !== 'signed') throw new Error(`${path} is not signed: livepeer tx sign signs it`)
  const signed = await signedIn(content)
  const words = checkedWords({ ...content, transactions: signed }, expectation)
  const tell = (lines: readonly string[]) => tellLines(line, env, lines)
  tell([
    `to send, signed by ${content.from}, on chain ${content.chainId}:`,
    ...words.flatMap((call, index) => [
      `${index + 1}. ${call.about}`,
      ...linesOfCall(call).map((text) => `     ${text}`),
    ]),
  ])
  await agrees('Send this? [y/N] ', line, env, signal)
  const door = await doorOf(line, expectation.chainId, env, signal)
  const done: Done[] = []
  for (const [index, { raw }] of content.transactions.entries()) {
    const { about, hash } = signed[index]!
    const mined = await sendOne(door, { raw, hash, number: index + 1 }, { clock: env.clock, tell }, signal)
    done.push({ about, hash, ...mined })
  }
  if (line.options.json === true) writeJson(env, { sent: done })
  return 0
}

/** The transactions of a file, read from what was signed. Throws a sentence where they are not the account's. */
async function signedIn({
  chainId,
  from,
  transactions,
}: SignedFile): Promise<(SignedTransaction & { about: string })[]> {
  return Promise.all(
    transactions.map(async ({ about, raw }, index) => {
      const signed = await readSigned(raw)
      if (signed.from !== from)
        throw new Error(`transaction ${index + 1} is signed by ${signed.from}, not by ${from}`)
      if (signed.chainId !== chainId) {
        throw new Error(
          `transaction ${index + 1} is for chain ${signed.chainId}, and the file for chain ${chainId}`,
        )
      }
      return { ...signed, about }
    }),
  )
}

async function sendOne(
  door: Door,
  { hash, number, raw }: { readonly raw: Hex; readonly hash: Hex; readonly number: number },
  { clock, tell }: { readonly clock: Clock; readonly tell: (lines: readonly string[]) => void },
  signal: AbortSignal,
): Promise<{ block: bigint; feeWei: bigint }> {
  const deadline = clock.now() + PATIENCE_MS
  let isSent = false
  let overtaken = 0
  for (;;) {
    try {
      const now = await door.look(raw)
      if (now.state === 'mined') {
        tell([
          `${number}. ${isSent ? '' : 'before: '}mined in block ${now.block} as ${hash}, for ${exactAmount(now.feeWei, ETH_TYPED)} of gas`,
        ])
        return now
      }
      if (now.state === 'failed') throw new Error(`it was mined in block ${now.block} and failed: ${hash}`)
      overtaken = now.state === 'overtaken' ? overtaken + 1 : 0
      if (overtaken >= OVERTAKEN_LOOKS) {
        throw new Error(
          'another transaction of the account was mined with its number: write and sign the rest again',
        )
      }
      if (now.state === 'unknown' && !isSent) {
        await door.send(raw)
        tell([`${number}. sent ${hash}, waiting until it is mined`])
        isSent = true
      }
    } catch (error) {
      if (!signal.aborted) throw new Error(`transaction ${number}: ${messageOf(error)}`, { cause: error })
    }
    if (signal.aborted)
      throw new Error(
        `transaction ${number} ${isSent ? `was sent as ${hash}` : 'was not sent'}; the same command goes on from there`,
      )
    if (clock.now() > deadline) {
      throw new Error(`transaction ${number} is not mined yet, ${hash}; the same command goes on waiting`)
    }
    await clock.sleep(LOOK_MS, signal).catch(() => {})
  }
}

async function doorOf(
  line: ReadCommand,
  chainId: bigint,
  env: OperateEnvironment,
  signal: AbortSignal,
): Promise<Door> {
  const given = optionOf(line, 'ethUrl')
  if (given === null) {
    const { reading, sending } = await findNode(line, null, env, signal)
    return {
      send: async (transaction) => {
        await sending.change('/sendSigned', { transaction }, z.object({ hash: z.string() }), signal)
      },
      look: (transaction) => reading.read(`/signedState?transaction=${transaction}`, stateSchema, signal),
    }
  }
  if (optionOf(line, 'node') !== null) throw new UsageError('--node and --ethUrl do not go together')
  const urls = (env.readText(given)?.trim() ?? given).split(',').map((url) => url.trim())
  const rpc = new Rpc({ urls, chainId: Number(chainId) }, { clock: env.clock, log: silentLog })
  const chain = new SignedTransactions({ rpc })
  return {
    send: (raw) => chain.send(raw, signal),
    look: async (raw) => chain.look(await readSigned(raw), signal),
  }
}

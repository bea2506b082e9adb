import type { z } from 'zod'
import { parsedJson } from '../../lib/parsed-json.ts'
import { withoutUnprintable } from '../../lib/printable.ts'
import { dryRunSchema, linesOfDryRun, linesOfSent, sentSchema } from '../operate/answers.ts'
import { type OpenTransaction, statusAnswer } from './answers.ts'
import { type ControlChange, ControlFailure } from './control.ts'
import { askYesNo, type Session } from './session.ts'
import type { Fact } from './tables.ts'

/** Something that a node is to send to the chain. */
export interface Sending extends ControlChange {
  /** What it does, a statement for nodes that do not describe it themselves. */
  readonly what: string
  /** Its amounts and addresses, for the same. */
  readonly facts?: readonly Fact[]
  /** The question before it is sent, where operators know one, also in scripts; it is asked whatever -yes says. */
  readonly question?: string
}

const FIRST_LOOK_MS = 1_000
const LOOK_MS = 2_000
/** A wait of which the node tells nothing is told about this often. */
const QUIET_LOOKS = 10

/**
 * Shows what will be sent, asks whether to send it, sends it and follows it until it is mined. Returns whether it was sent. Throws
 * ControlFailure when the node refuses it, before or after it was sent.
 */
export async function send(session: Session, sending: Sending): Promise<boolean> {
  const { control, write } = session
  const isDescribed = await control.takes(sending.path, 'dryRun')
  if (isDescribed) write(wordsOfPlan(await control.change(tried(sending))))
  else write(wordsOfCall(sending))
  const { question } = sending
  if (question !== undefined || !session.yes) {
    if (!(await askYesNo(session, question ?? 'Send it?'))) {
      write('Nothing was sent.\n')
      return false
    }
  }
  const isDetailed = isDescribed && (await control.takes(sending.path, 'details'))
  const answer = await followed(session, {
    ...sending,
    values: { ...sending.values, ...(isDetailed && { details: 'true' }) },
  })
  write(isDetailed ? wordsOfSent(answer) : wordsOfAnswer(sending, answer))
  return true
}

function tried({ path, values }: Sending): ControlChange {
  return { path, values: { ...values, dryRun: 'true' } }
}

function wordsOfPlan(plan: Buffer): string {
  const lines = linesOfDryRun(read(plan, dryRunSchema)).map((line) => `  ${line}`)
  return `${['', 'The node has simulated what it would send:', ...lines].join('\n')}\n`
}

function wordsOfCall({ facts = [], path, values = {}, what }: Sending): string {
  const shown = facts.length > 0 ? facts : Object.entries(values)
  const lines = [`  ${what}`, ...shown.map(([name, value]) => `      ${name}: ${value}`)]
  return `${['', `The node will be asked for ${path}; it does not tell what gas may cost:`, ...lines].join('\n')}\n`
}

/** Asks for a change; while it lasts, tells of the transactions that the node sends for it. */
async function followed(session: Session, change: ControlChange): Promise<Buffer> {
  const { control, signal, write } = session
  const done = new AbortController()
  const before = new Set((await openTransactions(session)).map(keyOf))
  const watching = watch(session, before, done.signal)
  try {
    return await control.change(change)
  } catch (error) {
    if (signal.aborted) {
      write(
        '\nInterrupted while the node works: it goes on with what it was asked. Its status tells what it has sent.\n',
      )
    } else if (error instanceof ControlFailure && error.code === 'silent') {
      const advice = 'It may have been sent all the same: look at the node’s status before you send it again.'
      throw new ControlFailure('silent', `${error.message}. ${advice}`, { cause: error })
    }
    throw error
  } finally {
    done.abort()
    await watching
  }
}

async function watch(session: Session, seen: Set<string>, done: AbortSignal): Promise<void> {
  let wait = FIRST_LOOK_MS
  for (let looks = 0; ; looks++) {
    await session.sleep(wait, done)
    if (done.aborted) return
    wait = LOOK_MS
    const fresh = (await openTransactions(session)).filter((one) => !seen.has(keyOf(one)))
    if (done.aborted) return
    for (const transaction of fresh) {
      seen.add(keyOf(transaction))
      const { attempts, purpose, txHash } = transaction
      const again = attempts > 1 ? `sent again with a higher fee (${attempts} times so far)` : 'sent'
      session.write(`  ${purpose}: ${again}, waits to be mined: ${txHash}\n`)
    }
    if (fresh.length === 0 && looks % QUIET_LOOKS === 0) session.write('  waiting for the node …\n')
  }
}

const keyOf = ({ attempts, txHash }: OpenTransaction) => `${txHash} ${attempts}`

/** What the node has sent and is not mined yet; nothing where it does not tell. */
async function openTransactions({ control }: Session): Promise<readonly OpenTransaction[]> {
  try {
    return (await control.json('/status', statusAnswer)).chain?.transactions ?? []
  } catch {
    return []
  }
}

function wordsOfSent(answer: Buffer): string {
  const lines = linesOfSent(read(answer, sentSchema))
  return `${lines.join('\n') || 'Done: there was nothing to send'}\n`
}

function read<T>(answer: Buffer, schema: z.ZodType<T>): T {
  const known = schema.safeParse(parsedJson(answer.toString('utf8')))
  if (known.success) return known.data
  throw new ControlFailure('stranger', 'the node tells what it sends in a form that is not known')
}

/** A node that tells nothing more than a text, or the 32 bytes of a transaction's hash. */
function wordsOfAnswer({ path }: Sending, answer: Buffer): string {
  const hash = /^\/vote/.test(path) && answer.length === 32 ? `0x${answer.toString('hex')}` : null
  if (hash !== null) return `Vote success tx=${hash}\n`
  const text = withoutUnprintable(answer.toString('utf8').trim())
  return text === '' ? 'Done: the node says that it was mined\n' : `${text}\n`
}

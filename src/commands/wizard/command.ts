import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import { AskError, type Asker } from './asker.ts'
import { ControlFailure, NodeControl } from './control.ts'
import { loadWizardSettings, type WizardSettings } from './flags.ts'
import { type MenuItem, menuOf } from './menu.ts'
import { readNodeFacts } from './node-facts.ts'
import { ItemError, type Session } from './session.ts'
import { showStatus } from './status-item.ts'

/** The command line, who answers, and where the output goes. */
export interface WizardEnvironment {
  /** Without the program's name. */
  readonly argv: readonly string[]
  readonly variables: Readonly<Record<string, string | undefined>>
  /** The text of a readable, non-empty, regular file; null for anything else. */
  readonly readText: (path: string) => string | null
  /** Made once the command line is read. */
  readonly asker: () => Asker
  readonly write: (text: string) => void
  readonly writeError: (text: string) => void
  readonly clock: Pick<Clock, 'sleep'>
  readonly version: string
}

/** The exit code after Ctrl-C, as shells give it. */
const INTERRUPTED = 130

/**
 * Runs `livepeer_cli` (operations.md §5). Returns the exit code: 0; 1 if something was refused, or the node does not answer; 2 for a
 * bad flag; 130 after Ctrl-C, of which the signal tells while no question is open.
 */
export async function runWizard(env: WizardEnvironment, signal: AbortSignal): Promise<number> {
  const settings = loadWizardSettings(env)
  if ('exit' in settings) {
    env.write(settings.exit.stdout)
    env.writeError(settings.exit.stderr)
    return settings.exit.code
  }
  const { write, writeError } = env
  try {
    const session = await opened(settings, env, signal)
    return await menuLoop(session, menuOf(session.facts))
  } catch (error) {
    if (signal.aborted) return INTERRUPTED
    if (error instanceof AskError) {
      if (error.code === 'interrupted') {
        write('\n')
        return INTERRUPTED
      }
      writeError(`livepeer_cli: ${error.message}: nothing was sent for this item, and nothing more is read\n`)
      return 1
    }
    if (!(error instanceof ControlFailure)) throw error
    const advice = error.code === 'silent' ? `: ${REACH}` : ''
    writeError(`livepeer_cli: ${settings.name}: ${error.message}${advice}\n`)
    return 1
  }
}

const REACH =
  'name the port of a running node’s control API with -http (a gateway’s is 5935), its host with -host'

async function opened(
  { name, port, target, yes }: WizardSettings,
  { asker, clock, write }: WizardEnvironment,
  signal: AbortSignal,
): Promise<Session> {
  const control = new NodeControl(target, signal)
  const facts = await readNodeFacts(control)
  const sleep = (ms: number, until: AbortSignal) =>
    clock.sleep(ms, AbortSignal.any([until, signal])).catch(() => {})
  write(`livepeer_cli: the menu of the Livepeer node at ${name}\n\n`)
  const session: Session = { ask: asker(), control, facts, name, port, yes, write, sleep, signal }
  await did(session, showStatus)
  return session
}

/** Runs items until Exit or the end of the input. Returns the exit code. Throws AskError, and what aborts. */
async function menuLoop(session: Session, items: readonly MenuItem[]): Promise<number> {
  let code = 0
  for (;;) {
    const item = await chosenItem(session, items)
    if (item === 'input-ended') return code
    if (item.run === null) {
      session.write('Goodbye, my friend\n')
      return code
    }
    if (!(await did(session, item.run)) && !session.ask.isTerminal) code = 1
  }
}

async function chosenItem(session: Session, items: readonly MenuItem[]): Promise<MenuItem | 'input-ended'> {
  const lines = items.map(({ title }, i) => `${String(i + 1).padStart(2)}. ${title}\n`)
  session.write(`\nWhat would you like to do? (default = stats)\n${lines.join('')}`)
  const itemOf = (answer: string) => (/^[1-9]\d?$/.test(answer) ? items[Number(answer) - 1] : undefined)
  try {
    const answer = await session.ask.line({
      text: 'Number of the item',
      fallback: '1',
      check: (answer) =>
        itemOf(answer)
          ? null
          : `${JSON.stringify(answer)} is no item: enter a number from 1 to ${items.length}`,
    })
    return itemOf(answer)!
  } catch (error) {
    if (error instanceof AskError && error.code === 'input-ended') return 'input-ended'
    throw error
  }
}

/** Whether an item did what it is for; otherwise what was in its way is shown. Throws AskError, and what aborts. */
async function did(session: Session, run: NonNullable<MenuItem['run']>): Promise<boolean> {
  try {
    await run(session)
    return true
  } catch (error) {
    if (session.signal.aborted) throw error
    if (error instanceof ItemError) session.write(`${error.message}\n`)
    else if (error instanceof ControlFailure) {
      session.write(`${error.code === 'refused' ? 'The node refuses: ' : 'Failed: '}${messageOf(error)}\n`)
    } else throw error
    return false
  }
}

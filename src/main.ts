import { existsSync, fstatSync } from 'node:fs'
import { availableParallelism, homedir } from 'node:os'
import { join } from 'node:path'
import packageJson from '../package.json' with { type: 'json' }
import { askAtTerminal, promptAtTerminal } from './commands/terminal.ts'
import { commitOf } from './config/commit.ts'
import { completionFor, SHELLS } from './config/completion.ts'
import { takeVariables } from './config/environment.ts'
import { readTextFile, writeNewFile } from './config/files.ts'
import { loadSettings } from './config/load-settings.ts'
import { OPERATE_WORDS } from './config/operate-commands.ts'
import { systemClock } from './lib/clock.ts'
import { systemDice } from './lib/dice.ts'
import { isAbort, NodeError } from './lib/errors.ts'
import { levelOfVerbosity, logFormatOf, openLog } from './lib/log.ts'
import { foldRepeats } from './lib/log-fold.ts'

/** The node's process: settings in, exit code out. The only file that touches the process. */

const { version } = packageJson
const variables = takenVariables()
/** What every command is given: its words, and where its output goes. */
const command = {
  argv: process.argv.slice(3),
  variables,
  readText: readTextFile,
  write: (text: string) => void process.stdout.write(text),
  writeError: (text: string) => void process.stderr.write(text),
}

/** Each loads what it needs itself: a node, and every other command, starts sooner. */
const commands: Readonly<Record<string, () => void | Promise<void>>> = {
  ...{ status: showStatus, tickets: showTickets, health: checkHealth },
  ...{ drain: () => drain('drain'), undrain: () => drain('undrain') },
  ...{ certs: makeCerts, store: useStore, explain, completion: complete, config: checkConfig },
  ...Object.fromEntries([...OPERATE_WORDS].map((word) => [word, operate])),
}
const [, , word = ''] = process.argv
await (Object.hasOwn(commands, word) ? commands[word]! : runAsNode)()

/** The environment variables of flags. They are removed, so that no child process inherits them. */
function takenVariables(): Record<string, string> {
  try {
    return takeVariables(process.env)
  } catch (error) {
    if (!(error instanceof NodeError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exit(1)
  }
}

/** How systemd asks to be told of this process. Removed, so that no child process answers in its place. */
function takenManager(): {
  socket: string
  watchdogUs?: string | undefined
  watchdogPid?: string | undefined
} | null {
  const { NOTIFY_SOCKET: socket, WATCHDOG_PID: watchdogPid, WATCHDOG_USEC: watchdogUs } = process.env
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_PID', 'WATCHDOG_USEC']) delete process.env[name]
  return socket ? { socket, watchdogUs, watchdogPid } : null
}

/** A signal that is aborted when a command is to end: by a signal of the system, or since its reader has gone, as after `| head`. */
function endOfCommand(): AbortSignal {
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => stop.abort())
  process.stdout.on('error', () => stop.abort())
  return stop.signal
}

/** `livepeer status`: shows the state of running nodes. */
async function showStatus(): Promise<void> {
  const { runStatus } = await import('./commands/status/command.ts')
  const terminal = () => (process.stdout.isTTY ? process.stdout : null)
  process.exitCode = await runStatus({ ...command, terminal, now: () => systemClock.now() }, endOfCommand())
}

/** `livepeer tickets`: the winning tickets of a node, and their book. */
async function showTickets(): Promise<void> {
  const { runTickets } = await import('./commands/tickets/command.ts')
  process.exitCode = await runTickets({ ...command, now: () => systemClock.now() }, endOfCommand())
}

/** `livepeer health`: whether a node can serve. */
async function checkHealth(): Promise<void> {
  const { runHealth } = await import('./commands/health.ts')
  process.exitCode = await runHealth(command, endOfCommand())
}

/** `livepeer drain` and `livepeer undrain`: take a running node out of work, and back. */
async function drain(name: 'drain' | 'undrain'): Promise<void> {
  const { runDrain } = await import('./commands/drain.ts')
  process.exitCode = await runDrain({ ...command, command: name }, endOfCommand())
}

/** The commands that act with a node's account, such as `livepeer orchestrator register`. */
async function operate(): Promise<void> {
  const { runOperate } = await import('./commands/operate/command.ts')
  const asking = process.stdin.isTTY
    ? { ask: askAtTerminal, askHidden: promptAtTerminal }
    : { ask: null, askHidden: null }
  process.exitCode = await runOperate(
    { ...command, argv: process.argv.slice(2), writeNew: writeNewFile, clock: systemClock, ...asking },
    endOfCommand(),
  )
}

/** `livepeer certs`: makes certificates for an operator's nodes. */
async function makeCerts(): Promise<void> {
  const { runCerts } = await import('./commands/certs.ts')
  process.exitCode = runCerts({ ...command, clock: systemClock, dice: systemDice })
}

/** `livepeer explain`: what a problem or a refusal means. */
async function explain(): Promise<void> {
  const { runExplain } = await import('./commands/explain.ts')
  process.stdout.on('error', () => {})
  process.exitCode = runExplain(command)
}

/** `livepeer completion`: what completes the program in a shell. */
function complete(): void {
  process.stdout.on('error', () => {})
  const shell = SHELLS.find((name) => name === process.argv[3])
  if (shell) command.write(completionFor(shell))
  else command.writeError(`livepeer completion is for one of ${SHELLS.join(', ')}\n`)
  process.exitCode = shell ? 0 : 2
}

/** `livepeer config check`: what a node with these flags would be. */
async function checkConfig(): Promise<void> {
  const { runConfig } = await import('./commands/config.ts')
  const { machineView } = await import('./commands/machine-view.ts')
  process.exitCode = await runConfig({
    ...command,
    homeDir: homedir() || null,
    about: aboutThis(),
    machine: machineView,
  })
}

/** `livepeer store`: copies a node's store. */
async function useStore(): Promise<void> {
  const { runStore } = await import('./commands/store.ts')
  process.exitCode = await runStore({ ...command, exists: existsSync })
}

function stderrIdentity(): { dev: bigint; ino: bigint } | null {
  try {
    return fstatSync(process.stderr.fd, { bigint: true })
  } catch {
    return null
  }
}

function aboutThis() {
  const commit = commitOf(join(import.meta.dirname, '..'), readTextFile)
  return { version, commit, runtime: process.version, arch: process.arch, platform: process.platform }
}

async function runAsNode(): Promise<void> {
  const about = aboutThis()
  const { commit } = about
  const settings = loadSettings({
    argv: process.argv.slice(2),
    variables,
    readText: readTextFile,
    homeDir: homedir() || null,
    about,
  })
  if ('exit' in settings) {
    process.stdout.write(settings.exit.stdout)
    process.stderr.write(settings.exit.stderr)
    process.exitCode = settings.exit.code
  } else {
    const stop = new AbortController()
    const drain = new AbortController()
    // The node goes on when the reader of its log goes away.
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
    // Log rotators send SIGUSR2 by default, and without a handler it ends the process.
    process.on('SIGUSR2', () => {})
    const logFormat = logFormatOf(settings.logFormat, {
      journalStream: process.env.JOURNAL_STREAM,
      identity: stderrIdentity,
    })
    const written = openLog({ level: levelOfVerbosity(settings.verbosity), format: logFormat })
    const log = foldRepeats(written, systemClock)
    try {
      // Loading the node takes a while, in which any signal ends the process; the other commands do not need it.
      const { runNode } = await import('./node/node.ts')
      process.on('SIGINT', () => stop.abort())
      // The first signal drains, the second stops at once. SIGHUP: the terminal was closed.
      for (const name of ['SIGTERM', 'SIGHUP'] as const)
        process.on(name, () => (drain.signal.aborted ? stop.abort() : drain.abort()))
      const hasStarted = await runNode(
        settings,
        {
          ...{ version, commit, log, clock: systemClock, dice: systemDice, cpus: availableParallelism() },
          prompt: process.stdin.isTTY ? promptAtTerminal : null,
          drain: drain.signal,
          setLogLevel: (level) => {
            written.level = level
          },
          systemd: takenManager(),
        },
        stop.signal,
      )
      // What a start waits for, such as an endpoint that does not answer, cannot always be called off.
      if (!hasStarted) process.exit()
    } catch (error) {
      if (!stop.signal.aborted || !isAbort(error)) {
        // A NodeError's message says all that an operator needs; other errors are bugs, and need their stack.
        if (error instanceof NodeError) log.error(error.message)
        else
          log.error('the node failed unexpectedly', {
            error,
            stack: error instanceof Error ? error.stack : undefined,
          })
        process.exitCode = 1
      }
    }
  }
}

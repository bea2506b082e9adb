import { accessSync, constants, mkdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { diskFault } from '../src/lib/disk-fault.ts'
import { messageOf } from '../src/lib/errors.ts'
import { SETUPS, type Setup } from './setups.ts'

/** The setup without nodes: a chain for the operator's own. */
export const CHAIN_ONLY = 'chain'

/** The command line of `npm start`. */
export interface DevnetOptions {
  readonly setup: Setup | typeof CHAIN_ONLY
  readonly once: boolean
  /** Kill nodes of the cluster, and start them again. */
  readonly unrest: boolean
  /** A file or URL instead of the pattern. */
  readonly input: string | null
  readonly logs: string | null
  /** Use free ports, not the usual ones. */
  readonly freePorts: boolean
  /** The goal of `--once`. */
  readonly goal: { readonly segments: number; readonly redeemed: number }
  /** The time limit of `--once`, in seconds. */
  readonly limitS: number
}

const HELP = `Usage: npm start -- [--setup NAME] [--input FILE] [--logs DIR] [--free-ports] [--unrest] [--once [--segments N] [--tickets N] [--limit SECONDS]]

A Livepeer network on this machine: a chain with the protocol's contracts, an operator's nodes and a gateway as separate
processes, and a live stream that is transcoded and paid for. It prints the command of every process. Ctrl-C stops all.

  --setup NAME      how the orchestrator's work is split: ${SETUPS.join(', ')} (default cluster);
                    ${CHAIN_ONLY}: no nodes, only the chain, funded accounts, their keys, and the flags for nodes of your own
  --input FILE      stream this file or URL in a loop instead of the test pattern
  --logs DIR        keep the nodes' logs there
  --free-ports      use free ports instead of the usual ones, so that several networks can start at once
  --unrest          kill a node of the cluster every 20 seconds, and start it again
  --once            stop when the goal is reached, and print one line of JSON
  --segments N      with --once: segments to be transcoded (default 20)
  --tickets N       with --once: tickets to be redeemed (default 2)
  --limit SECONDS   with --once: the longest time (default 180)

A node that is stopped by hand stays away until it is started again; its command is printed then.
`

/** Reads the command line, and makes the folder of the logs. Returns the text to print for --help. Throws what is wrong. */
export function readOptions(argv: readonly string[]): DevnetOptions | { readonly help: string } {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      once: { type: 'boolean', default: false },
      input: { type: 'string' },
      setup: { type: 'string', default: 'cluster' },
      unrest: { type: 'boolean', default: false },
      logs: { type: 'string' },
      'free-ports': { type: 'boolean', default: false },
      segments: { type: 'string', default: '20' },
      tickets: { type: 'string', default: '2' },
      limit: { type: 'string', default: '180' },
    },
  })
  if (values.help) return { help: HELP }
  const goal = { segments: Number(values.segments), redeemed: Number(values.tickets) }
  const limitS = Number(values.limit)
  const { 'free-ports': freePorts, input = null, logs = null, once, setup, unrest } = values
  if (!(goal.segments >= 0 && goal.redeemed >= 0)) {
    throw new Error('--segments and --tickets must be numbers: the goal of --once')
  }
  if (!(limitS > 0)) throw new Error('--limit must be a number of seconds: the time limit of --once')
  if (!isSetup(setup)) {
    throw new Error(`there is no setup "${setup}": --setup is one of ${[...SETUPS, CHAIN_ONLY].join(', ')}`)
  }
  if (setup === CHAIN_ONLY && (once || input !== null || logs !== null)) {
    throw new Error(`--setup ${CHAIN_ONLY} starts no nodes: leave out --once, --input and --logs`)
  }
  if (unrest && setup !== 'cluster') {
    throw new Error('--unrest kills nodes of which there are several: it is for --setup cluster')
  }
  if (logs !== null) checkFolder(logs)
  return { setup, once, unrest, input, logs, freePorts, goal, limitS }
}

function isSetup(name: string): name is DevnetOptions['setup'] {
  return name === CHAIN_ONLY || SETUPS.some((setup) => setup === name)
}

function checkFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true })
    accessSync(path, constants.W_OK)
  } catch (error) {
    throw new Error(`--logs ${path} cannot be used: ${diskFault(error) ?? messageOf(error)}`)
  }
}

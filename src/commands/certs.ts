import { join } from 'node:path'
import { type CertifiedNode, makeOwnCerts } from '../io/rpc/own-certs.ts'
import type { Clock } from '../lib/clock.ts'
import type { Dice } from '../lib/dice.ts'
import { messageOf, NodeError } from '../lib/errors.ts'
import { withoutBrackets } from '../lib/hosts.ts'

/** Why a call of `livepeer certs` is not understood. */
export type CertsUsageFault = 'unreadable'

const MAX_NODES = 1_000
/** A host name or an IP address that can also name a folder. */
const HOST = /^[A-Za-z0-9_:]([A-Za-z0-9._:-]{0,250}[A-Za-z0-9_:])?$/

const HELP = `Usage: livepeer certs DIR NODE[=HOST,HOST,...] ...

Makes the certificates by which an operator's nodes know one another.

DIR   folder of the authority, ca.pem and ca-key.pem; created if it does not exist. Keep it away from the nodes'
      machines: it is only needed to make certificates for further nodes.
NODE  a node, and the name of its folder in DIR. HOST: name or IP address at which other nodes call it; default NODE.

Copy each node's folder to its machine, readable by the node alone, and give it as -certs FOLDER to every redeemer,
orchestrator and standalone transcoder. Existing files are not overwritten.
`

/** The command line, where the output goes, and time and chance. */
export interface CertsEnvironment {
  /** Without the program's name and the word `certs`. */
  readonly argv: readonly string[]
  readonly write: (text: string) => void
  readonly writeError: (text: string) => void
  readonly clock: Clock
  readonly dice: Dice
}

/** Runs `livepeer certs`. Returns the exit code: 2 for a bad command line, 1 when the certificates cannot be made. */
export function runCerts(env: CertsEnvironment): 0 | 1 | 2 {
  const { argv, write, writeError } = env
  if (argv.some((word) => /^--?h(elp)?$/.test(word))) {
    write(HELP)
    return 0
  }
  try {
    const { directory, nodes } = read(argv)
    const { isNewAuthority } = makeOwnCerts(directory, nodes, env)
    if (isNewAuthority) {
      write(`${join(directory, 'ca-key.pem')}: the authority's key; keep it, away from the nodes' machines\n`)
    }
    for (const { hosts, name } of nodes) {
      write(`${join(directory, name)}: for ${hosts.join(', ')}; copy it there and give it as -certs\n`)
    }
    return 0
  } catch (error) {
    if (!(error instanceof NodeError)) throw error
    writeError(`${messageOf(error)}\n`)
    return error.code === 'bad-certs' ? 1 : 2
  }
}

function read([directory, ...words]: readonly string[]): {
  directory: string
  nodes: CertifiedNode[]
} {
  if (!directory || directory.startsWith('-') || words.length === 0) {
    throw unreadable('livepeer certs needs a folder and at least one node')
  }
  if (words.length > MAX_NODES) throw unreadable(`at most ${MAX_NODES} nodes can be given`)
  const nodes = words.map((word) => {
    const [name = '', ...rest] = word.split('=')
    const hosts = rest.length === 0 ? [name] : rest.join('=').split(',').map(withoutBrackets)
    const wrong = [name, ...hosts].find((host) => !HOST.test(host) || host.includes('..'))
    if (wrong !== undefined || name.endsWith('.pem')) {
      throw unreadable(`"${word.replace(/[^\x20-\x7e]/g, '?')}" is not NODE or NODE=HOST,HOST`)
    }
    return { name, hosts }
  })
  const twice = nodes.find(({ name }, i) => nodes.findIndex((other) => other.name === name) !== i)
  if (twice) throw unreadable(`${twice.name} is given twice`)
  return { directory, nodes }
}

function unreadable(what: string): NodeError {
  return new NodeError<CertsUsageFault>('unreadable', `${what}: livepeer certs --help explains`)
}

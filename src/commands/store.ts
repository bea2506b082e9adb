import { isSchemaName } from '../config/read-store.ts'
import { copyStore } from '../io/store/copy-store.ts'
import { DEFAULT_SCHEMA, isPostgresUrl, type Location } from '../io/store/open.ts'
import { messageOf, NodeError } from '../lib/errors.ts'
import { maskUrl } from '../lib/mask-url.ts'

/** Why a call of `livepeer store` is not understood. */
export type StoreUsageFault = 'unreadable'

const HELP = `Usage: livepeer store copy FROM TO [-storeSchema NAME]

Copies a node's store: its secrets, tickets, nonces, balances, transactions and sums. TO must be empty. All rows are compared
before the copy counts, and an error leaves TO as it was. Stop the nodes that use either of the two first.

FROM, TO      an SQLite file (livepeer-ts.sqlite3 in a node's -dataDir), a postgres:// URL, or a file with such a URL
-storeSchema  the schema in PostgreSQL, as given to the nodes; default ${DEFAULT_SCHEMA}
`

/** The command line, where the output goes, and how files are read. */
export interface StoreEnvironment {
  /** Without the program's name and the word `store`. */
  readonly argv: readonly string[]
  /** The text of a file; null if it cannot be read. */
  readonly readText: (path: string) => string | null
  readonly exists: (path: string) => boolean
  readonly write: (text: string) => void
  readonly writeError: (text: string) => void
}

/** Runs `livepeer store`. Returns the exit code: 2 for a bad command line, 1 when the store cannot be copied. */
export async function runStore(env: StoreEnvironment): Promise<0 | 1 | 2> {
  const { argv, write, writeError } = env
  if (argv.some((word) => /^--?h(elp)?$/.test(word))) {
    write(HELP)
    return 0
  }
  try {
    const { from, to } = read(env)
    const copied = await copyStore(from, to)
    for (const { rows, table } of copied) write(`${table}: ${rows} row${rows === 1 ? '' : 's'}\n`)
    write(`all of ${shown(from)} is in ${shown(to)}\n`)
    return 0
  } catch (error) {
    if (!(error instanceof NodeError)) throw error
    writeError(`${messageOf(error)}\n`)
    return error.code === 'unreadable' ? 2 : 1
  }
}

function read({ argv, exists, readText }: StoreEnvironment): { from: Location; to: Location } {
  const [verb, ...rest] = argv
  if (verb !== 'copy') throw unreadable(`livepeer store knows only copy, not ${JSON.stringify(verb ?? '')}`)
  const places: string[] = []
  let schema = DEFAULT_SCHEMA
  for (let i = 0; i < rest.length; i++) {
    const word = rest[i]!
    const [, name, value] = /^--?(\w+)(?:=(.*))?$/.exec(word) ?? []
    if (name === undefined) places.push(word)
    else if (name.toLowerCase() === 'storeschema') schema = value ?? rest[++i] ?? ''
    else throw unreadable(`livepeer store copy has no flag ${word}`)
  }
  if (places.length !== 2)
    throw unreadable(`livepeer store copy needs FROM and TO, not ${places.length} places`)
  if (!isSchemaName(schema)) throw unreadable('-storeSchema must be the name that the nodes are given')
  const [from, to] = places.map((place) => locationOf(place, schema, readText)) as [Location, Location]
  if (!isPostgresUrl(from.location) && !exists(from.location))
    throw unreadable(`there is no file ${from.location}`)
  if (from.location === to.location) throw unreadable('FROM and TO are the same store')
  return { from, to }
}

/** A small text file may hold the URL, as for -store. */
function locationOf(place: string, schema: string, readText: StoreEnvironment['readText']): Location {
  const url = isPostgresUrl(place) ? place : (readText(place)?.trim() ?? '')
  return isPostgresUrl(url) ? { location: url, schema } : { location: place }
}

function shown({ location, schema }: Location): string {
  return isPostgresUrl(location) ? `the schema ${schema} at ${maskUrl(location)}` : location
}

function unreadable(what: string): NodeError {
  return new NodeError<StoreUsageFault>('unreadable', `${what}: livepeer store --help explains`)
}

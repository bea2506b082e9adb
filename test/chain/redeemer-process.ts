import { type ClusteredOptions, startClustered } from './clustered.ts'

/*
 * A redeemer of a cluster as a process of its own, for tests that pause or kill it. Its options come as JSON in the first
 * argument. It writes `ready`, and then who leads, what it sends and what happens to its tickets, a line each.
 */
const options = JSON.parse(process.argv[2]!) as ClusteredOptions
const say = (line: string) => void process.stdout.write(`${line}\n`)
const write = (message: string, fields: object = {}) =>
  say(`${message} ${JSON.stringify(fields, (_, value) => (typeof value === 'bigint' ? `${value}` : value))}`)
const log = { error: write, warn: write, info: write, debug: () => {}, child: () => log }
await startClustered({ ...options, log, happened: (event) => say(`ticket ${event}`) })
say('ready')

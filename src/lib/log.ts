import { pino } from 'pino'
import { cutTo, escaped, quoted, quotedIfNeeded } from './printable.ts'

/** Characters of one value or message; longer ones are cut. */
const MAX_VALUE_CHARS = 2_000

/** Fields of a log line. Never keys, passwords, tokens or bodies. */
export type Fields = Readonly<Record<string, unknown>>

/**
 * The log: fixed sentences with variable parts in fields. `error`: the operator must act; `warn`: the operator may have
 * to act; `info`: rare events; `debug`: anything.
 */
export interface Log {
  error(message: string, fields?: Fields): void
  warn(message: string, fields?: Fields): void
  info(message: string, fields?: Fields): void
  debug(message: string, fields?: Fields): void
  /** The same log with these fields added to every line. */
  child(fields: Fields): Log
}

export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'silent'

/** The level for one of the Go node's verbosity numbers (operations.md §7): 0 errors, 2 warnings, 3 info, 5 debug. */
export function levelOfVerbosity(verbosity: number): LogLevel {
  if (verbosity < 1) return 'error'
  if (verbosity < 2) return 'warn'
  return verbosity < 5 ? 'info' : 'debug'
}

/** A log of JSON lines on stderr, or of short readable lines where `pretty` is set. */
export function openLog(options: { level: LogLevel; pretty?: boolean; write?: (line: string) => void }): Log {
  const write = options.write ?? ((line: string) => void process.stderr.write(line))
  const stream = { write: options.pretty ? (line: string) => write(prettyLine(line)) : write }
  const root = pino({ level: options.level, base: null, serializers: { error: describeError } }, stream)
  return wrap(root)
}

/** A log that drops everything. */
export const silentLog: Log = {
  error: () => {},
  warn: () => {},
  info: () => {},
  debug: () => {},
  child: () => silentLog,
}

/** The part of pino's interface that is used. */
interface Sink {
  error(fields: object, message: string): void
  warn(fields: object, message: string): void
  info(fields: object, message: string): void
  debug(fields: object, message: string): void
  child(fields: object): Sink
}

function wrap(logger: Sink): Log {
  return {
    error: (message, fields = {}) => logger.error(printable(fields), cut(message)),
    warn: (message, fields = {}) => logger.warn(printable(fields), cut(message)),
    info: (message, fields = {}) => logger.info(printable(fields), cut(message)),
    debug: (message, fields = {}) => logger.debug(printable(fields), cut(message)),
    child: (fields) => wrap(logger.child(printable(fields))),
  }
}

function printable(fields: Fields): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(fields)) {
    result[key] =
      typeof value === 'string' ? cut(value) : typeof value === 'bigint' ? value.toString() : value
  }
  return result
}

function cut(text: string): string {
  return cutTo(MAX_VALUE_CHARS, text)
}

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const code = 'code' in error ? error.code : undefined
  return {
    message: cut(error.message),
    code,
    cause: error.cause === undefined ? undefined : describeError(error.cause),
  }
}

const LABELS: Record<number, string> = { 50: 'ERROR', 40: 'WARN', 30: 'INFO', 20: 'DEBUG' }

function prettyLine(line: string): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>
  const clock = new Date(Number(time)).toISOString().slice(11, 23)
  const facts = Object.entries(fields).map(([key, value]) => `${key}=${printed(key, value)}`)
  const text = escaped(String(msg))
  return `${clock} ${(LABELS[Number(level)] ?? String(level)).padEnd(5)} ${text}${facts.length ? `  ${facts.join(' ')}` : ''}\n`
}

/** Formats a value that a peer may have chosen, so that it can neither end its line nor control a terminal. */
function printed(key: string, value: unknown): string {
  if (key === 'error' && value && typeof value === 'object' && 'message' in value) {
    return quoted(String(value.message))
  }
  if (typeof value === 'string') return quotedIfNeeded(value)
  return cut(escaped(JSON.stringify(value) ?? 'undefined'))
}

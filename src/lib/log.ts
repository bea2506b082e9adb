import { pino, stdTimeFunctions } from 'pino'
import { ether, gwei, livepeerTokens, perPixel } from './amounts.ts'
import { cutTo, escaped, quoted, quotedIfNeeded } from './printable.ts'
import { Rational } from './rational.ts'

/** Characters of one value or message; longer ones are cut. */
const MAX_VALUE_CHARS = 2_000

/**
 * Fields of a log line. Never keys, passwords, tokens or bodies. Amounts are bigints or fractions of the smallest unit,
 * which the name ends with: `...Wei` ether, `...PriceWei` a gas price, `...PerPixelWei` a price of work, `...Lptu` LPT.
 * JSON has them as they are, in decimal; other formats without the ending, in ETH, gwei, wei and LPT.
 */
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

/**
 * How lines are written: `pretty` for people, with the time in UTC; `journald` like it, with the journal's priority
 * instead of the time, which the journal adds; `json` for programs.
 */
export type LogFormat = 'pretty' | 'json' | 'journald'

/** What the system tells about stderr. */
export interface StderrFacts {
  /** The variable JOURNAL_STREAM: device and inode of the journal's stream. */
  readonly journalStream: string | undefined
  /** Device and inode of stderr; null where they cannot be read. */
  readonly identity: () => { readonly dev: bigint; readonly ino: bigint } | null
}

/** The format for a setting: `auto` is `journald` where stderr goes to the journal, otherwise `pretty`. */
export function logFormatOf(setting: LogFormat | 'auto', stderr: StderrFacts): LogFormat {
  if (setting !== 'auto') return setting
  const { identity, journalStream } = stderr
  // A process started by a service inherits the variable even where its output goes elsewhere.
  if (!journalStream || !/^\d+:\d+$/.test(journalStream)) return 'pretty'
  const is = identity()
  return is !== null && `${is.dev}:${is.ino}` === journalStream ? 'journald' : 'pretty'
}

/** The level for one of the Go node's verbosity numbers (operations.md §7): 0 errors, 2 warnings, 3 info, 5 debug. */
export function levelOfVerbosity(verbosity: number): LogLevel {
  if (verbosity < 1) return 'error'
  if (verbosity < 2) return 'warn'
  return verbosity < 5 ? 'info' : 'debug'
}

/** A log whose level can be changed, for itself and all its children. */
export interface LeveledLog extends Log {
  level: LogLevel
}

/** A log on stderr, of JSON lines unless another format is given. */
export function openLog(options: {
  level: LogLevel
  format?: LogFormat
  write?: (line: string) => void
}): LeveledLog {
  const { format = 'json', level } = options
  const write = options.write ?? ((line: string) => void process.stderr.write(line))
  const stream = { write: format === 'json' ? write : (line: string) => write(readableLine(line, format)) }
  const root = pino(
    {
      ...{
        level: 'debug',
        base: null,
        timestamp: stdTimeFunctions.isoTime,
        serializers: { error: describeError },
      },
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  )
  const gate: Gate = { level }
  const log = wrap(root, format === 'json' ? printable : readable, gate)
  return Object.defineProperty(log, 'level', {
    get: () => gate.level,
    set: (changed: LogLevel) => {
      gate.level = changed
    },
  }) as LeveledLog
}

/** What passes, shared by a log and its children. */
interface Gate {
  level: LogLevel
}

const SEVERITY: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 }

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

type Format = (fields: Fields) => Record<string, unknown>

function wrap(logger: Sink, format: Format, gate: Gate): Log {
  const at =
    (level: 'error' | 'warn' | 'info' | 'debug') =>
    (message: string, fields: Fields = {}) => {
      if (SEVERITY[level] >= SEVERITY[gate.level]) logger[level](format(fields), cut(message))
    }
  return {
    ...{ error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') },
    child: (fields) => wrap(logger.child(format(fields)), format, gate),
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

/** The fields with amounts in the units that people use. */
function readable(fields: Fields): Record<string, unknown> {
  return printable(Object.fromEntries(Object.entries(fields).map(inUnits)))
}

/** How amounts are written, by the end of their field's name. */
const UNITS: readonly (readonly [ending: RegExp, print: (amount: Rational) => string])[] = [
  [/PerPixelWei$/, perPixel],
  [/[pP]riceWei$/, (wei) => gwei(wei.trunc())],
  [/Wei$/, (wei) => ether(wei.trunc())],
  [/Lptu$/, (lptu) => livepeerTokens(lptu.trunc())],
]

function inUnits([key, value]: [string, unknown]): [string, unknown] {
  const [, print] = UNITS.find(([ending]) => ending.test(key)) ?? []
  if (!print) return [key, value]
  const name = key.replace(/(Wei|Lptu)$/, '')
  if (typeof value === 'bigint') return [name, print(Rational.of(value))]
  return [name, value instanceof Rational ? print(value) : value]
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

/** Priorities of the journal, as in syslog. */
const PRIORITIES: Readonly<Record<string, number>> = { error: 3, warn: 4, info: 6, debug: 7 }

function readableLine(line: string, format: 'pretty' | 'journald'): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>
  const facts = Object.entries(fields).map(([key, value]) => `${key}=${printed(key, value)}`)
  const start = format === 'pretty' ? `${time} ` : `<${PRIORITIES[String(level)]}>`
  const text = `${String(level).toUpperCase().padEnd(5)} ${escaped(String(msg))}`
  return `${start}${text}${facts.length ? `  ${facts.join(' ')}` : ''}\n`
}

/** Formats a value that a peer may have chosen, so that it can neither end its line nor control a terminal. */
function printed(key: string, value: unknown): string {
  if (key === 'error' && value && typeof value === 'object' && 'message' in value) {
    return quoted(String(value.message))
  }
  if (typeof value === 'string') return quotedIfNeeded(value)
  return cut(escaped(JSON.stringify(value) ?? 'undefined'))
}

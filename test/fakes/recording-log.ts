import type { Fields, Log, LogLevel } from '../../src/lib/log.ts'

/** A log that records its lines for a test. */
export class RecordingLog implements Log {
  readonly lines: { readonly level: LogLevel; readonly message: string; readonly fields: Fields }[] = []

  error(message: string, fields: Fields = {}): void {
    this.lines.push({ level: 'error', message, fields })
  }

  warn(message: string, fields: Fields = {}): void {
    this.lines.push({ level: 'warn', message, fields })
  }

  info(message: string, fields: Fields = {}): void {
    this.lines.push({ level: 'info', message, fields })
  }

  debug(message: string, fields: Fields = {}): void {
    this.lines.push({ level: 'debug', message, fields })
  }

  child(): Log {
    return this
  }

  /** The messages of a level. */
  of(level: LogLevel): string[] {
    return this.lines.filter((line) => line.level === level).map(({ message }) => message)
  }
}

import type { Clock } from './clock.ts'
import type { Fields, Log } from './log.ts'

/** Warnings with the same words that are written per window; further ones are counted. */
const WRITTEN = 3
const WINDOW_MS = 60_000
/** Different texts counted at a time. Texts are fixed sentences, so there are fewer than this. */
const MAX_COUNTED = 1_000

interface Count {
  readonly startedAtMs: number
  readonly write: (fields: Fields) => void
  written: number
  folded: number
  last: Fields
}

/**
 * A log that folds repeated warnings. The first three warnings with the same words within a minute are written; the
 * rest become one line with the fields of the last one and their number as `repeated`. That line is written at the
 * first log call after the minute.
 */
export function foldRepeats(log: Log, clock: Clock): Log {
  return fold(log, '', { clock, counts: new Map() })
}

interface Folding {
  readonly clock: Clock
  readonly counts: Map<string, Count>
}

function fold(log: Log, scope: string, folding: Folding): Log {
  const { clock, counts } = folding
  const passing =
    (write: (message: string, fields?: Fields) => void) => (message: string, fields?: Fields) => {
      writeEnded(folding)
      write(message, fields)
    }
  return {
    error: passing((message, fields) => log.error(message, fields)),
    info: passing((message, fields) => log.info(message, fields)),
    debug: (message, fields) => log.debug(message, fields),
    warn: (message, fields = {}) => {
      writeEnded(folding)
      const key = `${scope}${message}`
      let count = counts.get(key)
      if (!count) {
        const write = (last: Fields) => log.warn(message, last)
        count = { startedAtMs: clock.now(), write, written: 0, folded: 0, last: fields }
        if (counts.size < MAX_COUNTED) counts.set(key, count)
      }
      if (count.written < WRITTEN) {
        count.written++
        log.warn(message, fields)
      } else {
        count.folded++
        count.last = fields
      }
    },
    child: (fields) => fold(log.child(fields), `${scope}${Object.values(fields).join(' ')} `, folding),
  }
}

/** Writes the counts of windows that have ended; windows end in the order they started. */
function writeEnded({ clock, counts }: Folding): void {
  for (const [key, { folded, last, startedAtMs, write }] of counts) {
    if (clock.now() - startedAtMs < WINDOW_MS) return
    counts.delete(key)
    if (folded > 0) write({ ...last, repeated: folded })
  }
}

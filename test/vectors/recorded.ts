import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { TestContext } from 'node:test'

/** The recorded exchanges in a file of this folder. */
export function recordsIn<Recorded>(file: string): readonly Recorded[] {
  return JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8'))
}

/** What is said of the exchanges that fit: how this node compares, why, and what that rests on. */
type Row = readonly [of: RegExp, verdict: string, ...rest: readonly unknown[]]

/** Rows of verdicts, of which the first that fits counts, and how often each was needed. */
export class Verdicts<OneRow extends Row> {
  readonly #rows: readonly OneRow[]
  readonly #needed = new Set<OneRow>()
  readonly #counts = new Map<string, number>()

  constructor(rows: readonly OneRow[]) {
    this.#rows = rows
  }

  /** The row about an exchange, by its words. Fails where there is none. */
  about(what: string): OneRow {
    const row = this.#rows.find(([of]) => of.test(what))
    assert.ok(row, `no verdict on "${what}"`)
    this.#needed.add(row)
    this.#counts.set(row[1], this.count(row[1]) + 1)
    return row
  }

  /** Number of exchanges so far with a verdict. */
  count(verdict: OneRow[1]): number {
    return this.#counts.get(verdict) ?? 0
  }

  /** Fails if there were not as many exchanges, or a row was about none; tells how many there were of each verdict. */
  conclude(t: TestContext, exchanges: number): void {
    t.diagnostic(JSON.stringify(Object.fromEntries(this.#counts)))
    assert.equal(
      this.#counts.values().reduce((sum, count) => sum + count, 0),
      exchanges,
    )
    assert.deepEqual(
      this.#rows.filter((row) => !this.#needed.has(row)),
      [],
    )
  }
}

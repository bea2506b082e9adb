import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Offence, refusedForMs, withOffence } from './offences.ts'

const patience = { offences: 3, memoryMs: 60_000, refusalMs: 30_000 }

function after(...times: readonly number[]): Offence | undefined {
  return times.reduce<Offence | undefined>((past, at) => withOffence(past, at, patience), undefined)
}

const cases: readonly [claim: string, times: number[], nowMs: number, refusedMs: number][] = [
  ['without an offence nothing is refused', [], 0, 0],
  ['two are tolerated', [0, 1_000], 1_000, 0],
  ['three are refused', [0, 1_000, 2_000], 2_000, 30_000],
  ['the refusal starts at the last one', [0, 1_000, 2_000], 12_000, 20_000],
  ['and ends', [0, 1_000, 2_000], 32_000, 0],
  ['one more afterwards is refused again', [0, 1_000, 2_000, 33_000], 33_000, 30_000],
  ['old ones are forgotten', [0, 1_000, 61_001], 61_001, 0],
]

for (const [claim, times, nowMs, refusedMs] of cases) {
  test(claim, () => assert.equal(refusedForMs(after(...times), nowMs, patience), refusedMs))
}

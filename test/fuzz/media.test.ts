import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { after, before, suite, test } from 'node:test'
import { WORKER_DIED } from '../../src/domain/offences.ts'
import { MediaEngine, TOO_LATE } from '../../src/io/media/engine/engine.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import type { TranscodeJob } from '../../src/services/transcoding/transcoder.ts'
import { profileOf } from '../fakes/profile.ts'
import { quickDice } from '../fakes/quick-dice.ts'
import { mutated, type Specimen } from '../media/mutations.ts'
import { recordedSpecimens, smallSpecimens } from '../media/specimens.ts'

/** Number of damaged segments; MUTATIONS changes it, MUTATIONS_SEED the series, MUTATIONS_FIRST its start. */
const MUTATIONS = Number(process.env.MUTATIONS ?? 1_000)
const FIRST = Number(process.env.MUTATIONS_FIRST ?? 0)
const SEED = process.env.MUTATIONS_SEED ?? 'damage'

/** A segment's time limit: max(8 s, 4 × its duration). */
const DEADLINE_MS = 8_000
const WORKERS = Math.min(4, availableParallelism())
/** Recordings are large, so only one damaged segment in this many is one of them. */
const RECORDED_ONE_IN = 100
const SMALL = { width: 146, height: 50, bitrate: 100_000 }

/** All allowed errors for a segment that cannot be transcoded: names that peers know, and FFmpeg's own texts. */
const REFUSALS = new Set([
  'TranscoderInvalidVideo',
  'TranscoderInvalidDuration',
  'TranscoderInvalidClipConfig',
  'No keyframes in input',
  'Encoded frames runaway',
  'Decoder not found',
  'Invalid data found when processing input',
  'Generic error in an external library',
  'Invalid argument',
  'Cannot allocate memory',
  'Not yet implemented in FFmpeg, patches welcome',
  'Numerical result out of range',
  'End of file',
  'Internal bug, should not have happened',
  'Operation not permitted',
  'Operation not supported',
])

const signal = AbortSignal.timeout(5 * 60_000 + MUTATIONS * 100)

interface Tally {
  made: number
  renditions: number
  slowest: { readonly ms: number; readonly name: string }
  readonly refused: Map<string, number>
  readonly wrong: string[]
}

suite('damaged segments', () => {
  let small: Specimen[] = []
  let recorded: Specimen[] = []
  let engine: MediaEngine
  const supervisor = new Supervisor()
  before(async () => {
    small = await smallSpecimens()
    recorded = recordedSpecimens()
    engine = new MediaEngine({ clock: systemClock, log: silentLog, workers: WORKERS })
    await supervisor.start(engine)
  })
  after(() => supervisor.stop())

  test('give renditions that decode or the right error, in time, without side effects', async (t) => {
    const tally: Tally = {
      made: 0,
      renditions: 0,
      slowest: { ms: 0, name: '' },
      refused: new Map(),
      wrong: [],
    }
    const workers = engine.state.workers.map(({ pid }) => pid!)
    let peakMb = 0
    let next = FIRST
    // Two per worker: one running, one waiting.
    const lanes = Array.from({ length: WORKERS * 2 }, async (_, lane) => {
      while (next < FIRST + MUTATIONS) {
        const index = next++
        const dice = quickDice(`${SEED}/${index}`)
        const specimens = recorded.length > 0 && index % RECORDED_ONE_IN === 0 ? recorded : small
        const damaged = mutated(specimens, small, dice)
        await tryOne(engine, `${lane}`, index, damaged, tally)
        if (index % 500 === 0)
          for (const { pid } of engine.state.workers) peakMb = Math.max(peakMb, peakMbOf(pid))
      }
    })
    await Promise.all(lanes)
    const replaced = engine.state.workers.reduce((sum, worker) => sum + worker.replaced, 0)
    t.diagnostic(
      JSON.stringify({
        ...tally,
        refused: Object.fromEntries([...tally.refused].sort(([, a], [, b]) => b - a)),
        peakMb,
        replaced,
        survived: engine.state.workers.filter(({ pid }) => workers.includes(pid!)).length,
      }),
    )
    assert.deepEqual(tally.wrong, [])
    if (MUTATIONS < 100) return
    assert.ok(tally.made > MUTATIONS / 10, `${tally.made} of ${MUTATIONS} gave renditions`)
    assert.ok(tally.made < MUTATIONS * 0.9, `${tally.made} of ${MUTATIONS} gave renditions`)
    // Undamaged segments still work.
    const { renditions } = await engine.transcode(jobOf('after', small[0]!.bytes, 0), signal)
    assert.equal(renditions.length, 1)
  })
})

function jobOf(sessionId: string, source: Uint8Array, index: number): TranscodeJob {
  const profiles = [
    { fps: 0 },
    { fps: 30 },
    { format: 'mp4', fps: 15 },
    { fps: 30, profile: 'baseline' },
  ] as const
  return {
    sessionId,
    source,
    // Usually one rendition, which is quickest; sometimes several, and sometimes part of the segment.
    profiles: (index % 16 === 5 ? profiles : [profiles[index % profiles.length]!]).map((profile) =>
      profileOf({ ...SMALL, ...profile }),
    ),
    durationMs: 2000,
    deadlineMs: DEADLINE_MS,
    provider: 'Livepeer Transcoder 1.2.3 (offchain)',
    clip: index % 16 === 9 ? { fromMs: BigInt(index % 70), toMs: BigInt(index % 130) } : null,
    calcPerceptualHash: index % 50 === 0,
  }
}

async function tryOne(
  engine: MediaEngine,
  lane: string,
  index: number,
  damaged: Specimen,
  tally: Tally,
): Promise<void> {
  const wrong = (what: string) => tally.wrong.push(`${SEED}/${index} (${damaged.name}): ${what}`)
  const began = performance.now()
  let renditions: Awaited<ReturnType<MediaEngine['transcode']>>['renditions'] = []
  try {
    ;({ renditions } = await engine.transcode(jobOf(lane, damaged.bytes, index), signal))
    tally.made++
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (code !== 'media') wrong(`threw ${String(error)}`)
    else if (message === WORKER_DIED || message === TOO_LATE) wrong(message)
    else if (!REFUSALS.has(message)) wrong(`was refused with ${message}`)
    tally.refused.set(message, (tally.refused.get(message) ?? 0) + 1)
  }
  const ms = Math.round(performance.now() - began)
  if (ms > tally.slowest.ms) tally.slowest = { ms, name: `${SEED}/${index} (${damaged.name})` }
  for (const { bytes, pixels } of renditions) {
    tally.renditions++
    const counted = await engine.countPixels(bytes, signal).catch((error: Error) => error.message)
    if (counted !== pixels) wrong(`a rendition of ${pixels} pixels decodes to ${counted}`)
  }
}

/** Peak memory of a process. */
function peakMbOf(pid: number | null): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024)
  } catch {
    return 0
  }
}

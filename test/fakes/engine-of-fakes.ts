import type { MediaAbilities } from '../../src/domain/media-abilities.ts'
import { MediaEngine, type MediaEngineNeeds } from '../../src/io/media/engine/engine.ts'
import { WorkerProcess } from '../../src/io/media/engine/worker-process.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { openLog, silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { Offenders } from '../../src/services/transcoding/offenders.ts'
import type { TranscodeJob } from '../../src/services/transcoding/transcoder.ts'
import { profileOf } from './profile.ts'

/** The module of workers that simulate transcoding. */
export const FAKE_WORKER = new URL('../workers/fake-worker.ts', import.meta.url)

const signal = AbortSignal.timeout(600_000)

/** What changes an engine with simulated workers. */
export type FakedNeeds = Partial<MediaEngineNeeds> & { readonly gpus?: number }

/** An engine with simulated workers (test/workers/fake-worker.ts), which is not started. */
export function engineOfFakes({ gpus = 0, log = silentLog, ...needs }: FakedNeeds): MediaEngine {
  return new MediaEngine({
    ...{ clock: systemClock, log, workers: 1 },
    offenders: new Offenders({ clock: systemClock, log }),
    devices: Array.from({ length: gpus }, (_, index) => abilitiesOf(String(index))),
    launch: (worker) => new WorkerProcess(FAKE_WORKER, worker),
    ...needs,
  })
}

/** One that runs. */
export async function fakedEngine(needs: FakedNeeds) {
  const lines: string[] = []
  const log = openLog({ level: 'debug', write: (line) => lines.push(line) })
  const engine = engineOfFakes({ log, ...needs })
  const supervisor = new Supervisor()
  await supervisor.start(engine)
  /** Resolves with the device that did the segment. */
  const done = async (sessionId: string, provider = 'ok', changes: Partial<TranscodeJob> = {}) => {
    const { renditions } = await engine.transcode(mediaJob({ sessionId, provider, ...changes }), signal)
    return new TextDecoder().decode(renditions[0]!.bytes)
  }
  return { engine, done, lines, [Symbol.asyncDispose]: () => supervisor.stop() }
}

function abilitiesOf(device: string): MediaAbilities {
  return { device, capabilities: [], decodes: ['h264'], encodes: ['h264'], encoderFault: null }
}

/** A segment of a session; a fake worker handles it as `provider` says. */
export function mediaJob(changes: Partial<TranscodeJob>): TranscodeJob {
  return {
    ...{ sessionId: 'a', source: new Uint8Array(1), profiles: [profileOf({ fps: 30 })], durationMs: 2000 },
    ...{ deadlineMs: 20_000, provider: 'ok', clip: null, calcPerceptualHash: false },
    ...changes,
  }
}

import { MediaEngine } from '../../src/io/media/engine/engine.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import type { Media } from '../../src/node/environment.ts'
import { runNode } from '../../src/node/node.ts'
import { settingsOf } from '../fakes/settings.ts'
import { eventually } from '../tools/until.ts'

/** As long as other nodes may take. */
const READY_MS = 60_000

/**
 * `nothing`: it is honest. `pictures`: its renditions show another clip, and their hashes are those of the right one.
 * `hashes`: it states the hashes of that other clip, too.
 */
export type Lie = 'nothing' | 'pictures' | 'hashes'

/** An orchestrator in this process whose engine delivers another clip than it was sent. */
export class LyingNode implements AsyncDisposable {
  lie: Lie = 'nothing'
  /** Segments that it was sent. */
  segments = 0
  readonly #clip: Uint8Array
  readonly #stop = new AbortController()
  readonly #running: Promise<unknown>

  private constructor(flags: readonly string[], clip: Uint8Array) {
    this.#clip = clip
    const env = { version: '0.0.0', log: silentLog, clock: systemClock, dice: systemDice, cpus: 1 }
    this.#running = runNode(
      settingsOf(flags.join(' ')),
      { ...env, media: this.#media(), prompt: null },
      this.#stop.signal,
    )
  }

  /** Starts it with the flags of an orchestrator, and waits until it is ready. */
  static async start(flags: readonly string[], clip: Uint8Array): Promise<LyingNode> {
    const node = new LyingNode(flags, clip)
    const control = flags[flags.indexOf('-cliAddr') + 1]
    const isReady = async () => (await fetch(`http://${control}/healthz`).catch(() => null))?.ok === true
    await Promise.race([eventually('it is ready', isReady, READY_MS), node.#running])
    return node
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  #media(): Media {
    const engine = new MediaEngine({ clock: systemClock, log: silentLog, workers: 1 })
    return {
      name: engine.name,
      start: (scope) => engine.start(scope),
      transcode: async (job, signal) => {
        this.segments++
        const right = this.lie === 'hashes' ? null : await engine.transcode(job, signal)
        if (this.lie === 'nothing') return right!
        const wrong = await engine.transcode({ ...job, source: this.#clip }, signal)
        if (right === null) return wrong
        const renditions = wrong.renditions.map((rendition, index) => ({
          ...{ ...rendition, perceptualHash: right.renditions[index]!.perceptualHash },
        }))
        return { ...wrong, renditions }
      },
      sessionEnded: (sessionId) => engine.sessionEnded(sessionId),
      probe: (bytes, signal, streamId) => engine.probe(bytes, signal, streamId),
      countPixels: (bytes, signal, streamId) => engine.countPixels(bytes, signal, streamId),
      inspect: (bytes, signal) => engine.inspect(bytes, signal),
      fingerprint: (bytes, signal) => engine.fingerprint(bytes, signal),
    }
  }
}

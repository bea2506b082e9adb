import type { EngineState } from '../io/media/engine/engine.ts'
import type { Machine } from '../io/media/engine/hardware.ts'
import type { Sandbox } from '../io/media/sandbox/sandbox.ts'
import type { Clock } from '../lib/clock.ts'
import type { Dice } from '../lib/dice.ts'
import type { Log } from '../lib/log.ts'
import type { Service } from '../lib/service.ts'
import type { InputMedia } from '../services/gateway/gateway-needs.ts'
import type { Transcoder } from '../services/transcoding/transcoder.ts'

/** What does the media work: the engine, or a stand-in for it in benchmarks of everything else. */
export type Media = Service & Transcoder & InputMedia & { readonly state?: EngineState }

/** What a node is given from outside: time, chance, the log, this machine, and replacements of its parts. */
export interface Environment {
  readonly version: string
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  readonly cpus: number
  /** By which a cluster knows this node; absent where it has a database of its own. */
  readonly nodeId?: string
  /** Replaces the media engine. */
  readonly media?: Media
  /** What this machine's GPUs and cores were found to do; absent where nothing is transcoded. */
  readonly machine?: Machine
  /** The sandboxes of the engine's workers: those on the CPU, and those on GPUs. */
  readonly sandbox?: { readonly ofCores: Sandbox; readonly ofGpus: Sandbox } | undefined
}

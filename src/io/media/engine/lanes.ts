import { leastLoaded, sessionCost } from '../../../domain/device-load.ts'
import type { MediaAbilities } from '../../../domain/media-abilities.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { TranscodeJob } from '../../../services/transcoding/transcoder.ts'

/** A session that sends nothing for this time loses its place on a device (transcoding.md §5.1). */
const SESSION_IDLE_MS = 70_000
/** A GPU is tested after failing this many segments in a row that the CPU then transcoded. */
const FAULTS_SUSPECT = 3
/** A GPU that passed its test is not tested again for this time. */
const TRUSTED_MS = 60_000

/** A GPU as the operator sees it. */
export interface DeviceState {
  readonly device: string
  readonly sessions: number
  /** Why it is not used any more; null while it is. */
  readonly outOfService: string | null
}

/** A device with the sessions that have their place there. */
export interface Lane {
  /** What its workers are to work with; null for the cores, also once a GPU is out of service. */
  readonly gpu: MediaAbilities | null
}

class DeviceLane implements Lane {
  readonly device: MediaAbilities | null
  /** By session, what it costs and when it was last heard of. */
  readonly sessions = new Map<string, { readonly cost: number; lastMs: number }>()
  faults = 0
  /** What it is tried out for just now; null when it is not. */
  suspectedOf: string | null = null
  trustedUntilMs = -Infinity
  outOfService: string | null = null

  constructor(device: MediaAbilities | null) {
    this.device = device
  }

  get gpu(): MediaAbilities | null {
    return this.outOfService === null ? this.device : null
  }

  get load(): number {
    return [...this.sessions.values()].reduce((sum, { cost }) => sum + cost, 0)
  }
}

/** The GPUs, or the cores where there is none: which session is on which, and which GPU still serves. */
export class Lanes {
  readonly #lanes: readonly DeviceLane[]
  readonly #clock: Clock
  readonly #log: Log
  #next = 0

  constructor(gpus: readonly MediaAbilities[], { clock, log }: { clock: Clock; log: Log }) {
    this.#lanes = gpus.length > 0 ? gpus.map((gpu) => new DeviceLane(gpu)) : [new DeviceLane(null)]
    this.#clock = clock
    this.#log = log
  }

  get all(): readonly Lane[] {
    return this.#lanes
  }

  /** The devices that are in service. */
  get inService(): readonly DeviceLane[] {
    return this.#lanes.filter(({ outOfService }) => outOfService === null)
  }

  get state(): readonly DeviceState[] {
    return this.#lanes.flatMap(({ device, outOfService, sessions }) =>
      device ? [{ device: device.device!, sessions: sessions.size, outOfService }] : [],
    )
  }

  /** The device of a session; a new one goes to the one that has least to do (transcoding.md §5.1). */
  of({ profiles, sessionId }: TranscodeJob): Lane {
    const nowMs = this.#clock.now()
    const own = this.#lanes.find(({ sessions }) => sessions.has(sessionId))
    if (own) {
      own.sessions.get(sessionId)!.lastMs = nowMs
      return own
    }
    for (const { sessions } of this.#lanes) {
      for (const [id, { lastMs }] of sessions) if (nowMs - lastMs > SESSION_IDLE_MS) sessions.delete(id)
    }
    const { inService } = this
    const lanes = inService.length > 0 ? inService : this.#lanes
    const lane =
      lanes[
        leastLoaded(
          lanes.map(({ load }) => load),
          this.#next++,
        )
      ]!
    lane.sessions.set(sessionId, { cost: sessionCost(profiles), lastMs: nowMs })
    return lane
  }

  /** No more segments of this session will come. */
  end(sessionId: string): void {
    for (const { sessions } of this.#lanes) sessions.delete(sessionId)
  }

  /** Notes what a GPU failed with at a segment, or null. True when it is to be tried out for that. */
  isSuspect(noted: Lane, fault: string | null): boolean {
    const lane = noted as DeviceLane
    if (!lane.gpu || lane.suspectedOf !== null) return false
    lane.faults = fault === null ? 0 : lane.faults + 1
    if (fault === null || lane.faults < FAULTS_SUSPECT || this.#clock.now() < lane.trustedUntilMs)
      return false
    lane.suspectedOf = fault
    return true
  }

  /** What a GPU that was tried out failed with, or null. True when it is taken out of service. */
  judge(judged: Lane, verdict: string | null): boolean {
    const lane = judged as DeviceLane
    const gpu = lane.device!.device
    const seen = { gpu, reason: lane.suspectedOf, segmentsFailed: lane.faults }
    lane.suspectedOf = null
    lane.faults = 0
    if (verdict === null) {
      lane.trustedUntilMs = this.#clock.now() + TRUSTED_MS
      this.#log.warn('GPU failed several segments but passed its test: it stays in service', seen)
      return false
    }
    lane.outOfService = verdict
    lane.sessions.clear()
    const gpusLeft = this.inService.length
    this.#log.error(
      gpusLeft > 0
        ? 'GPU taken out of service, its sessions move to the other GPUs: repair it and restart the node'
        : 'last GPU taken out of service, its sessions continue on the CPU: repair it and restart the node',
      { ...seen, tryOut: verdict, gpusLeft },
    )
    return true
  }
}

import { forTranscoder, type Notice } from '../../domain/transcoder-notice.ts'
import { bytesToInt } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'
import type { ObjectStore } from '../../lib/object-store.ts'
import type { AdmittedJob, TranscodeOutput } from './transcoder.ts'
import type { Member } from './transcoder-member.ts'

/** Bits of a task's number, by which alone a result is known: too many to guess, and exact as a float. */
const TASK_BITS = 53
const TASK_BYTES = 7
/** Tasks that were late and whose results may still come, which shows that their transcoders work. */
const MAX_OVERDUE = 10_000

/** A segment in work. */
export interface Work {
  readonly job: AdmittedJob
  readonly deadline: number
  readonly result: PromiseWithResolvers<TranscodeOutput>
  /** Aborted once the segment is done, or given up. */
  readonly over: AbortController
  readonly tried: Set<Member>
  /** Transcoders that work on it, lost ones included: their result still counts. */
  readonly holders: Set<Member>
  readonly tasks: Set<bigint>
  /** URL of its source, once a transcoder elsewhere gets it. */
  sourceUrl: Promise<string> | null
  /** Whether its deadline is timed by the pool. */
  isTimed: boolean
}

/** One try of a segment at one transcoder of another machine. */
export interface Attempt {
  readonly work: Work
  readonly member: Member
  readonly sinceMs: number
}

/** What the tasks need. */
export interface TasksNeeds {
  readonly sources: ObjectStore
  /** The URL at which a transcoder of this address, HOST:PORT, fetches a source; absent: at which it is stored. */
  sourceUrlFor?(url: string, transcoder: string): string
  readonly clock: Clock
  readonly dice: Dice
}

/** The tasks of transcoders on other machines: which segment is at which transcoder, by the task's number. */
export class TranscoderTasks {
  readonly #orchestrator: string
  readonly #needs: TasksNeeds
  readonly #attempts = new Map<bigint, Attempt>()
  /** Tasks whose time was over, by their numbers, with the transcoder that has them. */
  readonly #overdue = new Map<bigint, Member>()

  constructor(
    /** As it is named to transcoders: the recipient's address, or `offchain`. */
    orchestrator: string,
    needs: TasksNeeds,
  ) {
    this.#orchestrator = orchestrator
    this.#needs = needs
  }

  /** Makes a segment a task of a transcoder; gives the task's number. */
  begin(work: Work, member: Member): bigint {
    const taskId = this.#newTask()
    this.#attempts.set(taskId, { work, member, sinceMs: this.#needs.clock.now() })
    member.tasks.add(taskId)
    work.tasks.add(taskId)
    return taskId
  }

  /**
   * The notice that tells a transcoder its task, once the source can be fetched; null when the task is over by then.
   * Throws when the source cannot be stored.
   */
  async notice(taskId: bigint, work: Work): Promise<Notice | null> {
    const { job } = work
    work.sourceUrl ??= this.#needs.sources.save(sourcePath(job), job.source)
    const stored = await work.sourceUrl
    const attempt = this.#attempts.get(taskId)
    if (!attempt) return null
    const url = this.#needs.sourceUrlFor?.(stored, attempt.member.address) ?? stored
    return {
      kind: 'task',
      taskId,
      url,
      orchestrator: this.#orchestrator,
      segment: forTranscoder(job.segment),
    }
  }

  /** The try that a result belongs to; undefined where none is waited for. */
  attempt(taskId: bigint): Attempt | undefined {
    return this.#attempts.get(taskId)
  }

  /** A result has come that is not waited for: a transcoder that was late with it works. */
  answeredLate(taskId: bigint): void {
    this.#overdue.get(taskId)?.answered(this.#needs.clock.now())
    this.#overdue.delete(taskId)
  }

  worksOf(member: Member): Work[] {
    return [...member.tasks].flatMap((taskId) => this.#attempts.get(taskId)?.work ?? [])
  }

  attemptsOf(work: Work): Attempt[] {
    return [...work.tasks].flatMap((taskId) => this.#attempts.get(taskId) ?? [])
  }

  /** A try is over, however it went. */
  end(taskId: bigint): void {
    const member = this.#attempts.get(taskId)?.member
    this.#attempts.delete(taskId)
    member?.tasks.delete(taskId)
  }

  /** The deadline of a segment has passed: its tries are over, and their results only show that a transcoder works. */
  expire(work: Work): void {
    for (const taskId of work.tasks) {
      const member = this.#attempts.get(taskId)?.member
      if (member) this.#overdue.set(taskId, member)
      if (this.#overdue.size > MAX_OVERDUE) this.#overdue.delete(this.#overdue.keys().next().value!)
      this.end(taskId)
    }
  }

  /** A segment is done, or given up: its tries are over, and its source need not be fetched any more. */
  close(work: Work): void {
    // A source that could not be stored, or removed, is the store's to tell.
    work.sourceUrl?.then(() => this.#needs.sources.remove(sourcePath(work.job))).catch(() => {})
    for (const taskId of work.tasks) this.end(taskId)
  }

  /** A number that no other task has: above 0, which Go does not write (wire.md §18, 7). */
  #newTask(): bigint {
    for (;;) {
      const taskId = BigInt.asUintN(TASK_BITS, bytesToInt(this.#needs.dice.bytes(TASK_BYTES)))
      if (taskId > 0n && !this.#attempts.has(taskId)) return taskId
    }
  }
}

/** Where a source waits: `{session}/{seq}.tempfile` (wire.md §12). */
function sourcePath({ segment, sessionId }: AdmittedJob): string {
  return `${sessionId}/${segment.seq}.tempfile`
}

import type { CauseCode } from '../../src/domain/cause-facts.ts'
import { type Cause, type Causes, sentenceOf } from '../../src/domain/causes.ts'

/** Causes as a service notes them, for a test. */
export class RecordingCauses implements Causes {
  /** `CODE begun` and `CODE ended`, in order; what is met again is not repeated. */
  readonly told: string[] = []
  readonly #current = new Map<string, Cause>()

  met(cause: Cause, about = ''): void {
    const key = keyOf(cause.code, about)
    if (!this.#current.has(key)) this.told.push(`${key} begun`)
    this.#current.set(key, cause)
  }

  over(code: CauseCode, about = ''): void {
    const key = keyOf(code, about)
    if (this.#current.delete(key)) this.told.push(`${key} ended`)
  }

  /** The codes of the causes that last. */
  get codes(): CauseCode[] {
    return [...this.#current.values()].map(({ code }) => code)
  }

  /** What the causes that last say. */
  get sentences(): string[] {
    return [...this.#current.values()].map(sentenceOf)
  }
}

function keyOf(code: CauseCode, about: string): string {
  return about === '' ? code : `${code} ${about}`
}

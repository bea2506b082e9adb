import { NodeError } from '../../lib/errors.ts'

/** Why a question got no answer. */
export type AskFault =
  /** The input is at its end. */
  | 'input-ended'
  /** Ctrl-C. */
  | 'interrupted'
  /** A line of a script is no answer to its question. */
  | 'bad-line'

/** A question without an answer. */
export class AskError extends NodeError<AskFault> {
  override name = 'AskError'
}

/** A question for one line. */
export interface Question {
  readonly text: string
  /** What an empty answer stands for; absent: an empty answer counts as it is. */
  readonly fallback?: string
  /** Why an answer is refused, a sentence; null where it counts. */
  readonly check?: (answer: string) => string | null
}

/** Puts questions to whoever uses the wizard: at a terminal, or a script that feeds lines. Throws AskError. */
export interface Asker {
  /** Whether somebody can look and answer, rather than a script. */
  readonly isTerminal: boolean
  line(question: Question): Promise<string>
  /** Many lines, to Ctrl-D or the end of the input. */
  text(question: string): Promise<string>
}

/** No answer, and no text of many lines, is longer. */
const MAX_INPUT_CHARS = 1_000_000

/**
 * Answers from the lines of a pipe or a file. The first line that does not answer its question ends the wizard: to take the next
 * one for it would send what nobody meant.
 */
export class LineAsker implements Asker {
  readonly isTerminal = false
  readonly #chunks: AsyncIterator<string>
  readonly #write: (text: string) => void
  readonly #signal: AbortSignal
  #rest = ''
  #ended = false

  constructor(input: AsyncIterable<string>, write: (text: string) => void, signal: AbortSignal) {
    this.#chunks = input[Symbol.asyncIterator]()
    this.#write = write
    this.#signal = signal
  }

  async line({ check, fallback, text }: Question): Promise<string> {
    this.#write(`${text}${fallback === undefined ? '' : ` (default: ${fallback})`} > `)
    const typed = (await this.#next()).trim()
    const answer = typed === '' && fallback !== undefined ? fallback : typed
    this.#write(`${typed}\n`)
    const refusal = check?.(answer) ?? null
    if (refusal === null) return answer
    throw new AskError('bad-line', refusal)
  }

  async text(question: string): Promise<string> {
    this.#write(`${question} > `)
    while (!this.#ended) await this.#more()
    const all = this.#rest.replace(/\r?\n$/, '')
    this.#rest = ''
    this.#write('\n')
    return all
  }

  async #next(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf('\n')
      if (end >= 0) {
        const line = this.#rest.slice(0, end)
        this.#rest = this.#rest.slice(end + 1)
        return line
      }
      if (this.#ended) break
      await this.#more()
    }
    // The last line may lack its end.
    const last = this.#rest
    this.#rest = ''
    if (last === '') throw new AskError('input-ended', 'the input has ended')
    return last
  }

  async #more(): Promise<void> {
    const { done = false, value } = await this.#untilInterrupted(this.#chunks.next())
    if (done) this.#ended = true
    else this.#rest += value
    if (this.#rest.length > MAX_INPUT_CHARS) {
      throw new AskError('bad-line', `the input has more than ${MAX_INPUT_CHARS} characters`)
    }
  }

  #untilInterrupted<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const interrupt = () => reject(new AskError('interrupted', 'interrupted'))
      if (this.#signal.aborted) interrupt()
      this.#signal.addEventListener('abort', interrupt, { once: true })
      work.then(resolve, reject).finally(() => this.#signal.removeEventListener('abort', interrupt))
    })
  }
}

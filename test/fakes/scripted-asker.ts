import { AskError, type Asker, type Question } from '../../src/commands/wizard/asker.ts'

/** Answers questions in order, as somebody at a terminal: what is refused is asked again. `^C` is Ctrl-C, `^D` ends a text. */
export class ScriptedAsker implements Asker {
  readonly isTerminal = true
  readonly asked: string[] = []
  readonly refusals: string[] = []
  #answers: string[]
  readonly #onQuestion: (question: Question) => void

  constructor(answers: readonly string[], onQuestion: (question: Question) => void = () => {}) {
    this.#answers = [...answers]
    this.#onQuestion = onQuestion
  }

  /** The answers that are left. */
  get left(): readonly string[] {
    return this.#answers
  }

  /** What is answered from now on. */
  give(answers: readonly string[]): void {
    this.#answers = [...answers]
  }

  async line(question: Question): Promise<string> {
    const { check, fallback, text } = question
    this.#onQuestion(question)
    this.asked.push(text)
    for (;;) {
      const typed = this.#next()
      const answer = typed === '' && fallback !== undefined ? fallback : typed
      const refusal = check?.(answer) ?? null
      if (refusal === null) return answer
      this.refusals.push(refusal)
    }
  }

  async text(question: string): Promise<string> {
    this.asked.push(question)
    return this.#next().replace(/\^D$/, '')
  }

  #next(): string {
    const answer = this.#answers.shift()
    if (answer === undefined) throw new AskError('input-ended', 'the input has ended')
    if (answer === '^C') throw new AskError('interrupted', 'interrupted')
    return answer
  }
}

import { createInterface } from 'node:readline'
import { input } from '@inquirer/prompts'
import { AskError, type Asker, type Question } from './asker.ts'

/**
 * Puts questions at a terminal. The library's prompts are for terminals alone: of a pipe, each would take all lines that have come
 * and drop what follows its own.
 */
export class TerminalAsker implements Asker {
  readonly isTerminal = true
  readonly #input: NodeJS.ReadStream
  readonly #output: NodeJS.WriteStream
  readonly #signal: AbortSignal

  constructor(
    streams: { readonly input: NodeJS.ReadStream; readonly output: NodeJS.WriteStream },
    signal: AbortSignal,
  ) {
    this.#input = streams.input
    this.#output = streams.output
    this.#signal = signal
  }

  async line({ check, fallback, text }: Question): Promise<string> {
    const ended = new AbortController()
    // After Ctrl-D the library closes its reader, which pauses the input, and never answers.
    const end = () => ended.abort()
    this.#input.once('pause', end)
    const answerOf = (typed: string) => typed.trim() || (fallback ?? '')
    try {
      const typed = await input(
        {
          message: text,
          ...(fallback !== undefined && { default: fallback }),
          validate: (typed) => check?.(answerOf(typed)) ?? true,
          theme: { prefix: { idle: '', done: '' }, validationFailureMode: 'clear' },
        },
        {
          input: this.#input,
          output: this.#output,
          signal: AbortSignal.any([ended.signal, this.#signal]),
        },
      )
      return answerOf(typed)
    } catch (error) {
      const name = error instanceof Error ? error.name : ''
      if (name === 'ExitPromptError' || this.#signal.aborted) {
        throw new AskError('interrupted', 'interrupted', { cause: error })
      }
      if (name === 'AbortPromptError')
        throw new AskError('input-ended', 'the input has ended', { cause: error })
      throw error
    } finally {
      this.#input.off('pause', end)
    }
  }

  text(question: string): Promise<string> {
    this.#output.write(`${question} >\n`)
    const lines = createInterface({ input: this.#input, output: this.#output, terminal: true })
    return new Promise((resolve, reject) => {
      const all: string[] = []
      const interrupt = () => {
        reject(new AskError('interrupted', 'interrupted'))
        lines.close()
      }
      this.#signal.addEventListener('abort', interrupt, { once: true })
      lines.on('line', (line) => all.push(line))
      lines.on('SIGINT', interrupt)
      // Ctrl-D on an empty line.
      lines.on('close', () => {
        this.#signal.removeEventListener('abort', interrupt)
        resolve(all.join('\n'))
      })
    })
  }
}

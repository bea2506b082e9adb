import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { stripVTControlCharacters } from 'node:util'

const WAIT_MS = 60_000

/** Why no pseudo-terminal can be made here; false where one can. */
export function noTerminal(): string | false {
  const { stdout } = spawnSync('script', ['--version'], { encoding: 'utf8' })
  return /util-linux/.test(stdout ?? '') ? false : 'needs script, of util-linux'
}

/** A program at a pseudo-terminal, made by Debian's `script`: what it shows, and keys to press. */
export class Terminal implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #exited: Promise<number | null>
  #shown = ''
  #from = 0

  private constructor(command: string, cwd: string) {
    const env = { ...process.env, TERM: 'xterm', NO_COLOR: '1', COLUMNS: '200' }
    this.#child = spawn('script', ['-q', '-e', '-c', `stty cols 200 rows 60; exec ${command}`, '/dev/null'], {
      ...{ cwd, env, stdio: ['pipe', 'pipe', 'inherit'] },
    })
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#shown += text
    })
    this.#exited = once(this.#child, 'exit').then(([code]) => code as number | null)
  }

  static open(command: string, { cwd }: { readonly cwd: string }): Terminal {
    return new Terminal(command, cwd)
  }

  /** What has been shown since the last `press`, on one line. */
  get shown(): string {
    return stripVTControlCharacters(this.#shown.slice(this.#from)).replace(/\s+/g, ' ')
  }

  /** Waits until this is shown. */
  async sees(words: RegExp): Promise<string> {
    const deadline = Date.now() + WAIT_MS
    for (;;) {
      const { shown } = this
      if (words.test(shown)) return shown
      if (Date.now() > deadline || this.#child.exitCode !== null) {
        throw new Error(`the terminal does not show ${words}: ${shown.slice(-2_000)}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** Types; what was shown before no longer counts. */
  press(keys: string): void {
    this.#from = this.#shown.length
    this.#child.stdin!.write(keys)
  }

  /** The exit code. */
  exited(): Promise<number | null> {
    return this.#exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }
}

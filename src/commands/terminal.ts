import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'

/** Asks at the terminal; what is typed is not shown. */
export async function promptAtTerminal(question: string): Promise<string> {
  const hidden = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: hidden, terminal: true })
  process.stderr.write(question)
  try {
    return await terminal.question('')
  } finally {
    terminal.close()
    process.stderr.write('\n')
  }
}

/** Asks at the terminal; what is typed is shown. */
export async function askAtTerminal(question: string, signal: AbortSignal): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr, terminal: true })
  // At a terminal in this mode Ctrl-C is a key, and no signal.
  const over = new AbortController()
  terminal.once('SIGINT', () => over.abort())
  try {
    return await terminal.question(question, { signal: AbortSignal.any([signal, over.signal]) })
  } finally {
    terminal.close()
  }
}

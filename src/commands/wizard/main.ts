import packageJson from '../../../package.json' with { type: 'json' }
import { readTextFile } from '../../config/files.ts'
import { systemClock } from '../../lib/clock.ts'
import { LineAsker } from './asker.ts'
import { runWizard } from './command.ts'
import { TerminalAsker } from './terminal-asker.ts'

/** The process of `livepeer_cli`: command line in, exit code out. */

const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => stop.abort())
// The reader has gone away, as after `| head`.
process.stdout.on('error', () => stop.abort())
const { stdin: input, stdout: output } = process
const write = (text: string) => void output.write(text)
const { LP_CLITOKEN } = process.env
delete process.env.LP_CLITOKEN
process.exitCode = await runWizard(
  {
    argv: process.argv.slice(2),
    variables: { LP_CLITOKEN },
    readText: readTextFile,
    asker: () =>
      input.isTTY && output.isTTY
        ? new TerminalAsker({ input, output }, stop.signal)
        : new LineAsker(input.setEncoding('utf8'), write, stop.signal),
    write,
    writeError: (text) => void process.stderr.write(text),
    clock: systemClock,
    version: packageJson.version,
  },
  stop.signal,
)
// What still feeds it would keep the process.
input.destroy()

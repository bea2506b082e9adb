import { bigintsAsTexts } from '../../lib/bigints.ts'
import type { ReadCommand } from './command-line.ts'
import type { OperateEnvironment } from './environment.ts'

/** Writes lines for people: to stderr where stdout is for JSON. */
export function tellLines(line: ReadCommand, env: OperateEnvironment, lines: readonly string[]): void {
  const write = line.options.json === true ? env.writeError : env.write
  write(lines.map((text) => `${text}\n`).join(''))
}

/** Writes what `--json` is to print, with amounts as texts. */
export function writeJson(env: OperateEnvironment, value: unknown): void {
  env.write(`${JSON.stringify(value, bigintsAsTexts, 2)}\n`)
}

import { closeSync, readFileSync } from 'node:fs'
import { environmentName, SettingsError } from './load-flags.ts'

/**
 * The variables that may hold a secret. `bin/livepeer` passes these by a pipe, since `/proc` shows the environment with which
 * a process was started for as long as it lives; its list is the same (a test compares them).
 */
export const secretVariables: readonly string[] = [
  ...['ethPassword', 'orchSecret', 'redeemerSecret', 'cliToken', 'ethUrl'],
  ...['kafkaPassword', 'FVfailGskey', 'metadataQueueUri'],
].map(environmentName)

/** Names the descriptor of that pipe. */
export const SECRETS_DESCRIPTOR = 'LIVEPEER_SECRETS_FD'

/**
 * Takes the variables of flags out of `env`, so that no process started from this one inherits them, and adds those that
 * came by the pipe, one `NAME=value` a line. Throws SettingsError when the pipe cannot be read.
 */
export function takeVariables(
  env: Record<string, string | undefined>,
  readPipe: (descriptor: number) => string = readAndClose,
): Record<string, string> {
  const taken: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(environmentName(''))) continue
    if (value !== undefined) taken[name] = value
    delete env[name]
  }
  const descriptor = env[SECRETS_DESCRIPTOR]
  if (descriptor === undefined) return taken
  delete env[SECRETS_DESCRIPTOR]
  for (const line of pipedLines(descriptor, readPipe)) {
    const equals = line.indexOf('=')
    if (secretVariables.includes(line.slice(0, equals))) taken[line.slice(0, equals)] = line.slice(equals + 1)
  }
  return taken
}

function pipedLines(descriptor: string, readPipe: (descriptor: number) => string): string[] {
  try {
    return readPipe(Number(descriptor)).split('\n')
  } catch (error) {
    throw new SettingsError(
      'bad-setting',
      `the secrets that bin/livepeer passes on cannot be read from ${SECRETS_DESCRIPTOR}=${JSON.stringify(descriptor)}: unset that variable`,
      { cause: error },
    )
  }
}

function readAndClose(descriptor: number): string {
  const text = readFileSync(descriptor, 'utf8')
  closeSync(descriptor)
  return text
}

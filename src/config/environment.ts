import { closeSync, readFileSync } from 'node:fs'
import { environmentName, SettingsError } from './load-flags.ts'

/**
 * The variables that may hold a secret. `bin/livepeer` passes them through a pipe, because `/proc` shows the initial
 * environment of a process for as long as it runs. A test compares this list with the script's.
 */
export const secretVariables: readonly string[] = [
  ...['ethPassword', 'orchSecret', 'redeemerSecret', 'cliToken', 'ethUrl'],
  ...['store', 'storeSessionUrl', 'alert'],
  ...['kafkaPassword', 'FVfailGskey', 'metadataQueueUri', 'objectStore', 'recordStore'],
].map(environmentName)

/** The variable with the file descriptor of that pipe. */
export const SECRETS_DESCRIPTOR = 'LIVEPEER_SECRETS_FD'

/**
 * Removes the variables of flags from `env`, so that no child process inherits them, and adds those from the pipe, one
 * `NAME=value` a line. Throws SettingsError when the pipe cannot be read.
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

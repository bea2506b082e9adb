import assert from 'node:assert/strict'
import { loadSettings } from '../../src/config/load-settings.ts'
import type { Settings } from '../../src/config/settings.ts'

/** What a secret's file holds where the text matters. */
const SECRETS: Readonly<Record<string, string>> = {
  store: 'postgres://livepeer:word@store:5432/livepeer',
}

/** The settings of a node that is deployed with these arguments; `secrets` are the files it finds, by their paths. */
export function settingsOf(
  name: string,
  argv: readonly string[],
  { secrets, variables }: { secrets: readonly string[]; variables: Readonly<Record<string, string>> },
): Settings {
  const settings = loadSettings({
    argv,
    variables,
    readText: (path) => {
      if (!secrets.includes(path)) return null
      return SECRETS[path.slice(path.lastIndexOf('/') + 1)] ?? 'some-secret-of-length'
    },
    homeDir: '/data',
    about: { version: '0', runtime: 'v24', arch: 'x64', platform: 'linux' },
  })
  assert.ok(!('exit' in settings), `${name}: ${'exit' in settings && settings.exit.stderr}`)
  assert.deepEqual(settings.warnings, [], name)
  assert.equal(settings.dataDir, '/data', name)
  return settings
}

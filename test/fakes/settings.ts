import assert from 'node:assert/strict'
import { loadSettings } from '../../src/config/load-settings.ts'
import type { Settings } from '../../src/config/settings.ts'

/** The settings of a node with these flags, on a machine without variables. `readText` gives its files; there are none where absent. */
export function settingsOf(line: string, readText: (path: string) => string | null = () => null): Settings {
  const settings = loadSettings({
    ...{ argv: line.split(' '), variables: {}, readText, homeDir: '/nowhere' },
    about: { version: '1', runtime: 'v24', arch: 'x', platform: 'y' },
  })
  assert.ok(!('exit' in settings), 'exit' in settings ? settings.exit.stderr : '')
  return settings
}

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { loadSettings } from '../../src/config/load-settings.ts'
import type { Settings } from '../../src/config/settings.ts'
import { REGISTERED } from '../fakes/status-answers.ts'

/** The commands of the README are read as the node reads them. */

const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const VALUES: Record<string, string> = {
  RPC_URL: 'https://rpc.example',
  ACCOUNT: '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC',
  X: REGISTERED,
}

/** The lines of code blocks. */
const lines = [...README.matchAll(/^```\n(.*?)^```$/gms)].flatMap(([, block]) => block!.trim().split('\n'))

/** What the files of the commands hold. */
const FILES: Readonly<Record<string, string>> = {
  'password.txt': 'secret',
  'secret.txt': 'secret',
  'store.txt': 'postgres://db.example/livepeer',
}

/** What a shell makes of a line's variables. */
function expanded(line: string): string {
  return line.replace(/\$([A-Z_]+)/g, (_, name: string) => {
    const value =
      VALUES[name] ?? lines.find((each) => each.startsWith(`${name}="`))?.slice(name.length + 2, -1)
    if (value === undefined) assert.fail(`nothing says what $${name} is`)
    return expanded(value)
  })
}

function rolesOf(line: string): string[] {
  const loaded = loadSettings({
    argv: expanded(line).split(' ').slice(1),
    variables: {},
    readText: (path) => FILES[path] ?? null,
    homeDir: '/home/me',
    about: { version: '1.2.3', runtime: 'v24.0.0', arch: 'x64', platform: 'linux' },
  })
  if ('exit' in loaded) assert.fail(`${line}\n${loaded.exit.stderr}`)
  const settings: Settings = loaded
  assert.deepEqual(
    settings.warnings.filter((warning) => !/listens on 127\.0\.0\.1/.test(warning)),
    [],
    line,
  )
  return [...settings.roles]
}

test('each command of the README starts what the README says', () => {
  const commands = lines.filter((line) => /^(bin\/)?livepeer (?!status|certs)/.test(line))
  assert.deepEqual(commands.map(rolesOf), [
    ['orchestrator', 'transcoder'],
    ['gateway'],
    // Setups 1, 2 and 3.
    ['redeemer'],
    ['orchestrator', 'transcoder'],
    ['redeemer'],
    ['orchestrator', 'transcoder'],
    ['redeemer'],
    ['reward'],
    ['orchestrator', 'transcoder'],
    // Transcoders elsewhere.
    ['orchestrator'],
    ['transcoder'],
    // A cluster.
    ['orchestrator', 'transcoder'],
    ['redeemer'],
    ['reward'],
  ])
})

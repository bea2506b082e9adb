import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { secretVariables, takeVariables } from './environment.ts'
import { type Flag, flagNames, flags } from './flags.ts'
import { environmentName } from './load-flags.ts'

const BIN = fileURLToPath(new URL('../../bin/livepeer', import.meta.url))

test('takeVariables removes the variables of flags from the environment and leaves the others', () => {
  const env: Record<string, string | undefined> = { LP_ETHPASSWORD: 'hush', LP_V: '5', PATH: '/bin' }
  assert.deepEqual(takeVariables(env), { LP_ETHPASSWORD: 'hush', LP_V: '5' })
  assert.deepEqual(env, { PATH: '/bin' })
})

test('secrets from the pipe count as variables, and other lines of it are ignored', () => {
  const env: Record<string, string | undefined> = { LIVEPEER_SECRETS_FD: '9', LP_V: '5' }
  const lines = 'LP_ETHPASSWORD=a=b "c" \\\nLP_ORCHSECRET= spaced \nPATH=/evil\nLP_V=1\n'
  const taken = takeVariables(env, (descriptor) => {
    assert.equal(descriptor, 9)
    return lines
  })
  assert.deepEqual(taken, { LP_V: '5', LP_ETHPASSWORD: 'a=b "c" \\', LP_ORCHSECRET: ' spaced ' })
  assert.deepEqual(env, {})
})

test('a missing pipe is reported in one sentence', () => {
  assert.throws(() => takeVariables({ LIVEPEER_SECRETS_FD: '987' }), {
    name: 'SettingsError',
    message:
      'the secrets that bin/livepeer passes on cannot be read from LIVEPEER_SECRETS_FD="987": unset that variable',
  })
})

test('every secret flag is among the secret variables, here and in bin/livepeer', () => {
  const secret = flagNames.filter((name) => (flags[name] as Flag).secret).map(environmentName)
  assert.deepEqual(
    secret.filter((name) => !secretVariables.includes(name)),
    [],
  )
  const inScript = readFileSync(BIN, 'utf8').match(/\bLP_[A-Z]+\b/g) ?? []
  assert.deepEqual([...new Set(inScript)].sort(), [...secretVariables].sort())
})

test('bin/livepeer starts the node with its secrets outside the environment', (t) => {
  const secret = 'of "two" words $HOME \\ `id` \\n'
  const probe = `import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
    import { takeVariables } from ${JSON.stringify(new URL('./environment.ts', import.meta.url).href)}
    const started = readFileSync('/proc/self/environ', 'latin1')
    const taken = takeVariables(process.env)
    console.log(JSON.stringify({ started, taken, left: process.env }))`
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-secrets-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'probe.mjs'), probe)
  // This script runs in place of the node.
  const script = readFileSync(BIN, 'utf8')
    .replace('self=$0', `self=${BIN}`)
    .replace('$(program_of main)', join(folder, 'probe.mjs'))
  const { status, stderr, stdout } = spawnSync('/bin/sh', ['-c', script], {
    encoding: 'utf8',
    env: {
      ...{ PATH: process.env.PATH, HOME: process.env.HOME, LP_V: '5', LP_ETHPASSWORD: secret },
      LP_CLITOKEN: 'two\nlines',
    },
  })
  assert.equal(status, 0, stderr)
  const seen = JSON.parse(stdout) as {
    started: string
    taken: Record<string, string>
    left: Record<string, string>
  }
  assert.ok(seen.started.includes('LP_V=5'))
  assert.ok(!seen.started.includes('of "two"'), 'the password is not in the initial environment')
  assert.deepEqual(seen.taken, { LP_V: '5', LP_ETHPASSWORD: secret, LP_CLITOKEN: 'two\nlines' })
  assert.deepEqual(
    Object.keys(seen.left).filter((name) => /^(LP_|LIVEPEER_)/.test(name)),
    [],
  )
})

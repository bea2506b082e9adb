import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { SHELLS, type Shell } from '../../src/config/completion.ts'

/** `livepeer completion` in the shells themselves; those that are not installed are skipped. */

const BIN = fileURLToPath(new URL('../../bin/livepeer', import.meta.url))

const has = (program: string) => spawnSync(program, ['--version']).error === undefined

function printed(shell: string): string {
  const { status, stderr, stdout } = spawnSync(BIN, ['completion', shell], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return stdout
}

const forBash = printed('bash')

/** What bash offers for the last of these words. */
function offered(...words: string[]): string[] {
  const script = `${forBash}
compopt() { :; }
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
_"$1"
printf '%s\\n' "\${COMPREPLY[@]}"`
  const { status, stderr, stdout } = spawnSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return stdout.split('\n').filter((line) => line !== '')
}

const CASES: readonly (readonly [words: readonly string[], offers: readonly string[]])[] = [
  [['livepeer', 'ex'], ['explain']],
  [['livepeer', 'config', ''], ['check']],
  [['livepeer', 'tickets', 'r'], ['retry']],
  [['livepeer', 'completion', 'z'], ['zsh']],
  [
    ['livepeer', 'gateway', ''],
    ['fund', 'unlock', 'cancel-unlock', 'withdraw', 'check'],
  ],
  [['livepeer', 'orchestrator', 'bond', '5LPT', '--un'], ['--unsigned']],
  [['livepeer', 'vote', '7', 'for', '--rea'], ['--reason']],
  [
    ['livepeer', 'tx', 's'],
    ['sign', 'send'],
  ],
  [['livepeer', 'orchestrator', 'bond', '5LPT', '--unsigned', 'package-l'], ['package-lock.json']],
  [['livepeer', '-redeemerS'], ['-redeemerSecret']],
  [['livepeer', 'config', 'check', '-redeemerS'], ['-redeemerSecret']],
  [['livepeer', '-network', 'arbitrum-one-m'], ['arbitrum-one-mainnet']],
  [['livepeer', '-dataDir', 'src/conf'], ['src/config']],
  [['livepeer', '-ethPassword', 'package-l'], ['package-lock.json']],
  [['livepeer', '-pricePerUnit', ''], []],
  [['livepeer', 'drain', '-'], []],
  [
    ['livepeer_cli', '-h'],
    ['-http', '-host'],
  ],
  [['livepeer_cli', '-token', 'package-l'], ['package-lock.json']],
  [['livepeer_cli', '-http', ''], []],
  [['livepeer_cli', '-log'], []],
]

for (const [words, offers] of CASES) {
  test(`bash completes "${words.join(' ')}"`, { skip: !has('bash') }, () => {
    assert.deepEqual(offered(...words), offers)
  })
}

test('flags that do nothing are not offered', { skip: !has('bash') }, () => {
  const flags = offered('livepeer', '-')
  assert.ok(flags.length > 50 && flags.includes('-orchestrator'))
  assert.ok(!flags.includes('-aiWorker'))
})

const CHECKS: Readonly<Record<Shell, readonly string[]>> = {
  bash: ['-n'],
  zsh: ['-n'],
  fish: ['--no-execute'],
}
for (const shell of SHELLS) {
  test(`what completes the program in ${shell} can be read by it`, { skip: !has(shell) }, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'livepeer-completion-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const file = join(folder, 'completion')
    writeFileSync(file, printed(shell))
    const { status, stderr } = spawnSync(shell, [...CHECKS[shell], file], { encoding: 'utf8' })
    assert.equal(`${status} ${stderr}`, '0 ')
  })
}

test('another shell is refused', () => {
  const { status, stderr } = spawnSync(BIN, ['completion', 'csh'], { encoding: 'utf8' })
  assert.equal(`${status} ${stderr}`, '2 livepeer completion is for one of bash, zsh, fish\n')
})

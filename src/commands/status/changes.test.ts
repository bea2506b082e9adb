import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answerOf, NOW_MS, ORCHESTRATOR, orchestratorStatus } from '../../../test/fakes/status-answers.ts'
import { screenOf } from './screen.ts'

/** What an operator changed while a node ran, and what was asked of it, as `livepeer status` shows it. */

const GWEI = 10n ** 9n
const setting = (
  name: string,
  flag: string,
  rest: { value: string; commandLine: string; kept?: string },
) => ({
  ...{ name, flag, kept: null },
  ...rest,
})
const change = (secondsAgo: number, path: string, rest: object) => ({
  ...{ atMs: NOW_MS - secondsAgo * 1000, from: '192.0.2.7', by: 'token', path, params: {} },
  ...{ status: 200, result: '' },
  ...rest,
})

/** The chapters behind that of the nodes. */
function shown(sections: { readonly settings?: unknown; readonly changes?: unknown }): string {
  const status = { ...orchestratorStatus(), ...sections }
  const { text } = screenOf([answerOf('10.0.0.7:7935', status)], NOW_MS)
  return text.split('\n\n').slice(8).join('\n\n')
}

test('status shows each setting that differs from the command line, in its unit, and what a restart makes of it', () => {
  const settings = [
    setting('maxSessions', '-maxSessions', { value: '4', commandLine: '10' }),
    setting('price', '-pricePerUnit', {
      value: '1/3 wei per 2',
      commandLine: '7 wei per 1',
      kept: '1/3 wei per 2',
    }),
    setting('maxFaceValue', '-maxFaceValue', { value: '10000000000000000', commandLine: '0', kept: '5' }),
    setting('maxGasPrice', '-maxGasPrice', { value: '0', commandLine: `${5n * GWEI}` }),
    setting('minGasPrice', '-minGasPrice', { value: '0', commandLine: '0', kept: `${GWEI}` }),
    setting(`price/${ORCHESTRATOR}`, '-pricePerGateway', { value: '9 wei per 2', commandLine: 'none' }),
  ]
  assert.equal(
    shown({ settings }),
    `SETTINGS THAT DIFFER FROM THE COMMAND LINE
  orchestrator 10.0.0.7:7935
    -maxSessions is 4, the command line says 10; a restart brings back 10
    -pricePerUnit is 1/3 wei per 2, the command line says 7 wei per 1; kept over a restart
    -maxFaceValue is 0.01 ETH, the command line says no limit; a restart makes it 5 wei
    -maxGasPrice is no limit, the command line says 5 gwei; a restart brings back 5 gwei
    -minGasPrice is 0 gwei, as the command line says; a restart makes it 1 gwei
    -pricePerGateway for ${ORCHESTRATOR} is 9 wei per 2, the command line
        says none; a restart brings back none
`,
  )
})

test('status shows what was asked of a node last: when, what, from where, and what came of it', () => {
  const changes = [
    change(2, '/setMaxSessions', {
      params: { maxSessions: '4', persist: 'true' },
      result: 'Max sessions set to 4',
    }),
    change(65, '/bond', { by: 'no token', status: 400, result: 'failed to parse big integer' }),
    ...Array.from({ length: 5 }, (_, i) => change(100 + i, '/drain', {})),
  ]
  assert.equal(
    shown({ changes }),
    `ASKED FOR LAST
  orchestrator 10.0.0.7:7935
    2026-09-01 11:59:58   /setMaxSessions maxSessions=4 persist=true from 192.0.2.7 (token): done
    2026-09-01 11:58:55   /bond from 192.0.2.7 (no token): refused (400): failed to parse big
        integer
    2026-09-01 11:58:20   /drain from 192.0.2.7 (token): done
    2026-09-01 11:58:19   /drain from 192.0.2.7 (token): done
    2026-09-01 11:58:18   /drain from 192.0.2.7 (token): done
    2 earlier requests
`,
  )
})

test('a node without either has no such chapter, and a time that is none harms nothing', () => {
  assert.equal(shown({}), '')
  assert.match(shown({ changes: [change(-1e18, '/drain', {})] }), /\n {4}\? {3}\/drain from /)
})

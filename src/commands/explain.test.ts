import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { COMMANDS } from '../config/commands.ts'
import { OPERATE_COMMANDS } from '../config/operate-commands.ts'
import { problems, refusals } from '../domain/explain.ts'
import { errorsPage } from './errors-page.ts'
import { runExplain } from './explain.ts'
import { ACTIONS } from './operate/actions.ts'
import { readCommand } from './operate/command-line.ts'
import { problemExamples } from './status/problem-examples.ts'

function explained(...argv: string[]) {
  const said = { out: '', err: '' }
  const code = runExplain({
    argv,
    write: (text) => {
      said.out += text
    },
    writeError: (text) => {
      said.err += text
    },
  })
  return { code, ...said }
}

test('a refusal is explained in four lines', () => {
  assert.deepEqual(explained('Insufficient', 'balance'), {
    code: 0,
    out: `Insufficient balance
  means: what the gateway has paid does not cover the segment at the price agreed
  who must act: the gateway
  to change: nothing, if it is rare: the gateway pays more with the next try; if it lasts, compare -pricePerUnit here with -maxPricePerUnit there
`,
    err: '',
  })
})

test('a problem is explained by an example', () => {
  const { code, out } = explained('streams-full')
  assert.equal(code, 0)
  assert.equal(
    out,
    `streams-full: streams refused: -maxSessions reached
  for example: -maxSessions allows 10 streams, and there are as many, so further ones are refused
  who must act: the gateway
  to change: raise -maxSessions
`,
  )
})

test('with --json it is a list, empty where nothing is known', () => {
  const { code, out } = explained('--json', 'ErrSegSig')
  assert.equal(code, 0)
  assert.deepEqual(
    JSON.parse(out).map(({ name, side, title }: Record<string, unknown>) => [name, side, title]),
    [['ErrSegSig', 'gateway', null]],
  )
  assert.deepEqual(explained('--json', 'nonsense').out, '[]\n')
})

test('what is unknown ends with 1, and is shown without control characters', () => {
  const { code, err, out } = explained('\u001b[2Jnonsense')
  assert.deepEqual([code, out], [1, ''])
  assert.match(err, /^nothing is known of "\\u001b\[2Jnonsense"; docs\/errors.md lists/)
})

test('more than ten are counted', () => {
  const { out } = explained('e')
  assert.match(out, /\nand \d+ more: ask with more words\n$/)
})

test('a command line that cannot be read ends with 2', () => {
  assert.deepEqual(
    [explained(), explained('--x', 'a')].map(({ code, out }) => [code, out]),
    [
      [2, ''],
      [2, ''],
    ],
  )
})

test('docs/errors.md matches the tables (to update it: npm run docs)', () => {
  const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  assert.equal(page, errorsPage())
})

test('each command that a problem or a refusal names can be typed as it says', () => {
  const texts = [
    ...[...problems(), ...refusals()].map(({ change }) => change),
    ...Object.values(problemExamples()).flat(),
  ]
  const named = texts.flatMap((text) =>
    [...text.matchAll(/\blivepeer ([a-z][^;:,()]*)/g)].map(([, words]) => words!),
  )
  assert.ok(named.length > 10, named.join('\n'))
  const names = COMMANDS.map(({ name }) => name)
  const acting = OPERATE_COMMANDS.map(({ name }) => name)
  const amounts: Readonly<Record<string, string>> = { 'gateway fund': '0.1ETH', 'orchestrator bond': '5LPT' }
  for (const said of named) {
    const name = names.find((one) => `${said} `.startsWith(`${one} `))
    assert.ok(name, said)
    // What follows a mere name is the rest of the sentence.
    const given = /^((?: (?:--[a-z-]+ )?(?:AMOUNT|https?:\S+|[\d.]+[A-Za-z]+))+)/.exec(
      said.slice(name.length),
    )?.[1]
    if (!given || !acting.includes(name)) continue
    const words = `${name}${given}`.replaceAll('AMOUNT', amounts[name] ?? 'AMOUNT').split(' ')
    const line = readCommand(words, acting)
    assert.ok(!('help' in line))
    ACTIONS[name]?.request(line)
  }
  const fund = named.filter((said) => said.startsWith('gateway fund --'))
  assert.ok(
    fund.includes('gateway fund --reserve 0.09ETH') && fund.includes('gateway fund --deposit 0.4ETH'),
    fund.join(),
  )
})

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ACTIONS } from '../../src/commands/operate/actions.ts'
import { readCommand } from '../../src/commands/operate/command-line.ts'
import { COMMANDS } from '../../src/config/commands.ts'
import { flagNames, oldNames } from '../../src/config/flags.ts'
import { OPERATE_COMMANDS } from '../../src/config/operate-commands.ts'
import { wizardFlagNames } from '../../src/config/wizard-flags.ts'
import { REGISTERED } from '../fakes/status-answers.ts'

/** The documents for operators: what they tell to type can be typed, and what they name is there. */

const root = fileURLToPath(new URL('../..', import.meta.url))
const pages = [
  ...['README.md', 'CONTRIBUTING.md', 'ARCHITECTURE.md'],
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
].map((name) => ({ name, text: readFileSync(join(root, name), 'utf8') }))

/** What is between backticks, and the lines of code blocks without their comments. */
const typed = pages.flatMap(({ name, text }) => {
  const blocks = [...text.matchAll(/^```\w*\n(.*?)^```$/gms)].flatMap(([, block]) => block!.split('\n'))
  const inline = [...text.replace(/^```.*?^```$/gms, '').matchAll(/`([^`]+)`/g)].map(([, code]) => code!)
  return [...blocks, ...inline].map((code) => ({ name, code: code.replace(/\s+#.*$/, '').trim() }))
})

const VALUES: Readonly<Record<string, string>> = {
  ...{ ADDRESS: REGISTERED, PROPOSAL: '7', LOCK: '0', TICKET: `0x${'7a'.repeat(32)}` },
}
const commands = typed.filter(({ code }) => /^livepeer [a-z]/.test(code))

test('every command in the documents exists', () => {
  assert.ok(commands.length > 40, `${commands.length}`)
  const known = COMMANDS.map(({ name }) => name)
  const groups = new Set(known.map((name) => name.split(' ')[0]!))
  const wrong = commands.filter(({ code }) => {
    const [first = '', second] = code.split(' ').slice(1)
    if (!groups.has(first)) return true
    const seconds = known.filter((name) => name.startsWith(`${first} `))
    if (seconds.length === 0 || second === undefined || /[|A-Z]/.test(second)) return false
    return !known.includes(`${first} ${second}`)
  })
  assert.deepEqual(wrong, [])
})

test('every command that acts with an account can be typed as the documents say', () => {
  const names = OPERATE_COMMANDS.map(({ name }) => name)
  const acting = commands.filter(
    ({ code }) => names.some((name) => `${code} `.startsWith(`livepeer ${name} `)) && !/[|…]/.test(code),
  )
  assert.ok(acting.length > 20, `${acting.length}`)
  const wrong = acting.flatMap(({ code, name }) => {
    const words = code
      .split(' ')
      .slice(1)
      .map((word) => VALUES[word] ?? word)
    try {
      const line = readCommand(words, names)
      // A command's mere name is no example of it.
      const isName = 'help' in line || (line.words.length === 0 && Object.keys(line.options).length === 0)
      if (!isName && !/AMOUNT|PRICE|FILE|OPTIONS/.test(code)) ACTIONS[line.command.name]?.request(line)
      return []
    } catch (error) {
      return [`${name}: ${code}: ${error}`]
    }
  })
  assert.deepEqual(wrong, [])
})

test('every flag in the documents exists', () => {
  const options = COMMANDS.flatMap(({ options = [] }) => options.map(({ name }) => name))
  const known = new Set<string>([
    ...[...flagNames, ...Object.keys(oldNames), ...wizardFlagNames, ...options],
    // The help, and any flag.
    ...['help', 'name'],
  ])
  const wrong = typed
    .filter(({ code }) => /^-[a-z][A-Za-z]{3,}/.test(code))
    .filter(({ code }) => !known.has(/^-([A-Za-z]+)/.exec(code)![1]!))
  assert.deepEqual(wrong, [])
})

test('every part of a page that a link names is there', () => {
  const headings = (text: string) =>
    [...text.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replace(/[^\w\s-]/g, '')
        .replaceAll(' ', '-'),
    )
  const wrong = pages.flatMap(({ name, text }) =>
    [...text.matchAll(/\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)/g)].flatMap(([, to, part]) => {
      const page = readFileSync(join(root, to === '' ? name : join(dirname(name), to!)), 'utf8')
      return headings(page).includes(part!) ? [] : [`${name}: ${to}#${part}`]
    }),
  )
  assert.deepEqual(wrong, [])
})

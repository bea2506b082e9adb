import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { matchesGlob } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import packageJson from '../../package.json' with { type: 'json' }

/** The Dockerfile, read and not built: what it names exists, and what it says of user, folders and programs fits together. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const textOf = (name: string) => readFileSync(new URL(`../../deploy/docker/${name}`, import.meta.url), 'utf8')

interface Instruction {
  readonly word: string
  readonly rest: string
}

/** The instructions of each stage, with continued lines as one. */
function stagesOf(
  text: string,
): { readonly name: string; readonly from: string; readonly all: Instruction[] }[] {
  const lines = text
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')
  const stages: { name: string; from: string; all: Instruction[] }[] = []
  for (const line of lines) {
    const [, word = '', rest = ''] =
      /^([A-Z]+) (.+)$/.exec(line) ?? assert.fail(`not an instruction: ${line}`)
    const [, from = '', name = ''] = word === 'FROM' ? (/^(\S+)(?: AS (\S+))?$/.exec(rest) ?? []) : []
    if (word === 'FROM') stages.push({ name, from, all: [] })
    else (stages.at(-1) ?? assert.fail(`before the first FROM: ${line}`)).all.push({ word, rest })
  }
  return stages
}

const stages = stagesOf(textOf('Dockerfile'))
const last = stages.at(-1)!
const restOf = (word: string) => {
  const found = last.all.filter((one) => one.word === word).map(({ rest }) => rest)
  assert.equal(found.length, 1, word)
  return found[0]!
}
const environment = Object.fromEntries(
  restOf('ENV')
    .split(/\s+/)
    .map((pair) => pair.split('=') as [string, string]),
)

test('its images are of named versions, its stages exist, and its commands are shell', () => {
  const known = ['ARG', 'WORKDIR', 'COPY', 'RUN', 'ENV', 'USER', 'VOLUME', 'STOPSIGNAL']
  known.push('HEALTHCHECK', 'ENTRYPOINT', 'CMD')
  for (const [i, { all, from }] of stages.entries()) {
    assert.match(from, /^[a-z]+:(?!latest)[\w.-]+$/)
    const earlier = stages.slice(0, i).map(({ name }) => name)
    for (const { rest, word } of all) {
      assert.ok(known.includes(word), word)
      const source = /--from=(\S+)/.exec(rest)?.[1]
      if (source !== undefined) assert.ok(earlier.includes(source), `${word} ${rest}`)
      if (word !== 'RUN') continue
      const { status, stderr } = spawnSync('sh', ['-n', '-c', rest], { encoding: 'utf8' })
      assert.equal(status, 0, stderr)
    }
  }
})

test('the node runs as a user without rights, who owns its data folder and nothing else', () => {
  const [user, group] = restOf('USER').split(':')
  assert.match(user!, /^[1-9]\d*$/)
  assert.equal(group, user)
  const made = restOf('RUN')
  assert.match(
    made,
    new RegExp(`useradd --uid ${user} --user-group .*--home-dir ${environment.HOME} livepeer`),
  )
  assert.match(made, new RegExp(`--owner livepeer --group livepeer --mode 0700 ${environment.HOME}$`))
  assert.deepEqual([restOf('WORKDIR'), restOf('VOLUME')], [environment.HOME, environment.HOME])
})

test('it starts and asks programs of the package, as process 1, and SIGTERM ends it', () => {
  const words = (text: string) => JSON.parse(text) as string[]
  const [program] = words(restOf('ENTRYPOINT'))
  const [asked, command] = words(restOf('HEALTHCHECK').replace(/^.*CMD /, ''))
  for (const name of [program, asked]) assert.ok(name! in packageJson.bin, name)
  const { status, stdout } = spawnSync(`${ROOT}/bin/livepeer`, [command!, '--help'], { encoding: 'utf8' })
  assert.equal(status, 0)
  assert.match(stdout, /livepeer health/)
  assert.equal(restOf('STOPSIGNAL'), 'SIGTERM')
  const prefix = /npm install --global --prefix (\S+)/.exec(
    stages[0]!.all.map(({ rest }) => rest).join('\n'),
  )![1]
  assert.equal(environment.PATH!.split(':')[0], `${prefix}/bin`)
  assert.equal(restOf('COPY'), `--from=build ${prefix} ${prefix}`)
})

test('nothing that belongs to the repository is left out of the context', (t) => {
  const { status, stdout } = spawnSync('git', ['ls-files'], { cwd: ROOT, encoding: 'utf8' })
  if (status !== 0) return t.skip('not a git clone')
  const ignored = textOf('Dockerfile.dockerignore').trim().split('\n')
  const files = stdout.trim().split('\n')
  assert.ok(files.length > 1_000)
  assert.deepEqual(
    files.filter((file) => ignored.some((pattern) => matchesGlob(file.split('/', 1)[0]!, pattern))),
    [],
  )
})

import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize, relative, sep } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Which room of src may import which; a room may always import itself. A room is a folder, and its own folders belong to
 * it unless they are named here. `types:` lets in types only.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  main: ['node', 'commands', 'config', 'lib'],
  node: ['config', 'domain', 'services', 'io', 'lib'],
  commands: ['config', 'domain', 'io', 'lib', 'types:services/transcoding'],
  // It runs in browsers: of the commands it takes the words of the status.
  console: ['commands', 'domain', 'lib'],
  config: ['domain', 'lib'],
  domain: ['lib'],
  lib: [],
  'services/gateway': ['domain', 'lib', 'types:services/recordings'],
  'services/orchestrator': ['domain', 'lib', 'types:services/protocol', 'types:services/transcoding'],
  'services/transcoding': ['domain', 'lib'],
  'services/redemption': ['domain', 'lib', 'types:services/orchestrator', 'types:services/protocol'],
  'services/protocol': ['domain', 'lib'],
  'services/cluster': ['domain', 'lib'],
  'services/recordings': ['domain', 'lib'],
  'services/alerts': ['domain', 'lib'],
  'services/publishing': ['domain', 'lib'],
  'io/amqp': ['domain', 'lib', 'types:services'],
  'io/chain': ['domain', 'lib', 'types:services'],
  'io/http': ['domain', 'lib', 'types:services'],
  'io/kafka': ['domain', 'lib', 'types:services'],
  'io/media/engine': ['domain', 'lib', 'types:services', 'types:io/media/sandbox'],
  'io/media/worker': ['domain', 'lib', 'types:services', 'io/media/engine', 'io/media/sandbox'],
  'io/media/sandbox': ['domain', 'lib'],
  'io/objects': ['domain', 'lib', 'types:services'],
  'io/rpc': ['domain', 'lib', 'types:services'],
  'io/rtmp': ['domain', 'lib', 'types:services'],
  'io/store': ['domain', 'lib', 'types:services'],
  'io/systemd': ['lib'],
}

/** Libraries, each with its home; koffi has two, for system calls of two processes. */
const HOMES: Readonly<Record<string, string | readonly string[]>> = {
  viem: 'src/io/chain',
  'node-av': 'src/io/media/worker',
  koffi: ['src/io/media/sandbox', 'src/io/systemd'],
  '@connectrpc/connect': 'src/io/rpc',
  '@connectrpc/connect-node': 'src/io/rpc',
  '@bufbuild/protobuf': 'src/io/rpc',
  kysely: 'src/io/store',
  pg: 'src/io/store',
  'node:sqlite': 'src/io/store',
  pino: 'src/lib',
  'hash-wasm': 'src/lib',
  secp256k1: 'src/lib',
  'prom-client': 'src/io/http',
  amqplib: 'src/io/amqp',
  '@platformatic/kafka': 'src/io/kafka',
  '@inquirer/prompts': 'src/commands/wizard',
  '@aws-sdk/client-s3': 'src/io/objects',
  'google-auth-library': 'src/io/objects',
  preact: 'src/console',
  '@preact/signals': 'src/console',
  uplot: 'src/console',
  'hls.js': 'src/console',
}

/** Only these touch the process: what the operating system starts, and what keeps a worker's memory and life. */
const PROGRAMS = [
  ...['src/main.ts', 'src/commands/bench/main.ts', 'src/commands/wizard/main.ts', 'src/config/write-docs.ts'],
  ...['src/io/media/engine/', 'src/io/media/worker/', 'src/io/media/sandbox/'],
]

/** A longer file has more than one reason to change. */
const MAX_LINES = 450

/** The only longer files, each with the reason. */
const LONGER: Readonly<Record<string, string>> = {
  'src/config/flags.ts': 'a table: one row for each flag',
  'src/domain/cause-table.ts': 'a table: one row for each cause',
  'src/io/rpc/gen/lp_rpc_pb.ts': 'generated',
}

interface Import {
  readonly file: string
  readonly target: string
  readonly typesOnly: boolean
}

const sources = filesUnder(join(root, 'src')).filter(
  (file) => /\.tsx?$/.test(file) && !file.endsWith('.test.ts'),
)
const imports = sources.flatMap(importsOf)

test('every file of src belongs to a room, and every room has files', () => {
  const rooms = new Set(sources.map((file) => roomOf(relative(root, file).split(sep).join('/'))))
  assert.deepEqual([...rooms].sort(), Object.keys(MAY_IMPORT).sort())
})

test('every room of src imports only what it may', () => {
  const wrong = imports.filter(({ file, target, typesOnly }) => {
    if (!target.startsWith('src/')) return false
    const [from, to] = [roomOf(file), roomOf(target)]
    const allowed = MAY_IMPORT[from] ?? []
    const includes = (kind: string) => allowed.some((room) => isWithin(`${kind}${to}`, room))
    return from !== to && !includes('') && !(typesOnly && includes('types:'))
  })
  assert.deepEqual(wrong.map(sentence), [])
})

test('what runs in browsers is made of modules that need no Node.js', () => {
  const { files, outside } = neededBy('src/console/')
  assert.ok(files.has('src/commands/status/problems.ts'))
  assert.deepEqual(outside.filter(({ target }) => target.startsWith('node:')).map(sentence), [])
})

test('a media worker, which reads streams of strangers, holds no library but those of media and system calls', () => {
  const { outside } = neededBy('src/io/media/worker/')
  const libraries = outside.map(({ target }) => packageOf(target)).filter((name) => !name.startsWith('node:'))
  assert.deepEqual([...new Set(libraries)].sort(), ['koffi', 'node-av'])
})

test('the rooms of services form no circle at run time', () => {
  const wrong = imports.filter(
    ({ file, target, typesOnly }) =>
      !typesOnly &&
      file.startsWith('src/services/') &&
      roomOf(file) !== roomOf(target) &&
      target.startsWith('src/services/'),
  )
  assert.deepEqual(wrong.map(sentence), [])
})

test('every library is imported only in its home', () => {
  const wrong = imports.filter(({ file, target }) => {
    const homes = [HOMES[packageOf(target)] ?? []].flat()
    return homes.length > 0 && !homes.some((home) => file.startsWith(`${home}/`))
  })
  assert.deepEqual(wrong.map(sentence), [])
})

test('the domain is functions of values: no Node modules, no waiting, no time, no chance, no log', () => {
  const effects = ['src/lib/clock.ts', 'src/lib/dice.ts', 'src/lib/log.ts']
  const wrong = imports.filter(
    ({ file, target }) =>
      file.startsWith('src/domain/') && (target.startsWith('node:') || effects.includes(target)),
  )
  assert.deepEqual(wrong.map(sentence), [])
  for (const file of sources.filter((file) => file.startsWith(join(root, 'src/domain')))) {
    const code = withoutComments(readFileSync(file, 'utf8'))
    const found = /\basync\b|\bawait\b|\bDate\b|Math\.random|setTimeout|setInterval|\bClock\b|\bLog\b/.exec(
      code,
    )
    assert.equal(found?.[0], undefined, `${relative(root, file)} uses ${found?.[0]}`)
  }
})

test('services import no package and no Node module', () => {
  const wrong = imports.filter(
    ({ file, target }) => file.startsWith('src/services/') && !target.startsWith('src/'),
  )
  assert.deepEqual(wrong.map(sentence), [])
})

test('every error is made with a closed list of codes', () => {
  const open = sources
    .filter((file) => /\bnew NodeError\(/.test(withoutComments(readFileSync(file, 'utf8'))))
    .map((file) => relative(root, file))
  assert.deepEqual(open, [], 'name the codes: new NodeError<SomeFault>(…)')
})

test('only programs touch the process', () => {
  const wrong = sources
    .map((file) => relative(root, file).split(sep).join('/'))
    .filter((file) => !PROGRAMS.some((program) => file.startsWith(program)))
    .filter((file) =>
      /\bprocess\.(exit|argv|env|on|once)\b/.test(withoutComments(readFileSync(join(root, file), 'utf8'))),
    )
  assert.deepEqual(wrong, [])
})

test('only tables and generated code are longer than a file may be', () => {
  const longer = sources
    .filter((file) => readFileSync(file, 'utf8').trimEnd().split('\n').length > MAX_LINES)
    .map((file) => relative(root, file).split(sep).join('/'))
  assert.deepEqual(
    longer.sort(),
    Object.keys(LONGER).sort(),
    `split what exceeds ${MAX_LINES} lines by meaning`,
  )
})

test('every exported function and class says what it is for', () => {
  const bare: string[] = []
  for (const file of sources.filter((file) => !file.includes(`${sep}gen${sep}`))) {
    const lines = readFileSync(file, 'utf8').split('\n')
    lines.forEach((line, index) => {
      if (!/^export (async )?(function|class|abstract class)\b/.test(line)) return
      const before = lines[index - 1] ?? ''
      if (!before.trimEnd().endsWith('*/')) bare.push(`${relative(root, file)}:${index + 1} ${line}`)
    })
  }
  assert.deepEqual(bare, [])
})

test('every word of the glossary that names a file names one that exists', () => {
  const glossary = readFileSync(join(root, 'GLOSSARY.md'), 'utf8')
  const named = [...glossary.matchAll(/`((?:src|devnet|bench|test)\/[^`]+)`/g)].map((match) => match[1]!)
  assert.ok(named.length > 20, 'the glossary names the file that owns each word')
  assert.deepEqual(
    named.filter((path) => !exists(join(root, path))),
    [],
  )
})

test('every file that the documents point to exists', () => {
  const documents = filesUnder(join(root, 'docs')).map((file) => relative(root, file))
  for (const name of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', ...documents]) {
    const text = readFileSync(join(root, name), 'utf8')
    const named = [...text.matchAll(/`((?:src|devnet|bench|test|docs|proto|bin)\/[\w./-]+\.\w+)`/g)].map(
      (match) => match[1]!,
    )
    const linked = [...text.matchAll(/\]\(([\w./-]+)(?:#[\w-]+)?\)/g)].map((match) =>
      normalize(join(dirname(name), match[1]!)),
    )
    assert.deepEqual(
      [...named, ...linked].filter((path) => !exists(join(root, path))),
      [],
      name,
    )
  }
})

function sentence({ file, target, typesOnly }: Import): string {
  return `${file} may not import ${target}${typesOnly ? ' (types)' : ''}`
}

/** The files of src that those in a folder load at run time, themselves included, and what they import from outside src. */
function neededBy(folder: string): {
  readonly files: ReadonlySet<string>
  readonly outside: readonly Import[]
} {
  const files = new Set(imports.map(({ file }) => file).filter((file) => file.startsWith(folder)))
  const outside: Import[] = []
  // The set grows while it is gone through.
  for (const from of files) {
    for (const one of imports.filter(({ file, typesOnly }) => file === from && !typesOnly)) {
      if (one.target.startsWith('src/')) files.add(one.target)
      else outside.push(one)
    }
  }
  return { files, outside }
}

function importsOf(file: string): Import[] {
  const code = withoutComments(readFileSync(file, 'utf8'))
  const found: Import[] = []
  const pattern =
    /(?:import|export)\s+(type\s+)?([^'"`;]*?\sfrom\s+)?['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]/g
  for (const match of code.matchAll(pattern)) {
    const specifier = match[3] ?? match[4]!
    const names = match[2] ?? ''
    const inlineTypes = /^\{[^}]*\}\s*from\s*$/.test(`${names.trim()} `) && everyNameIsType(names)
    const target = specifier.startsWith('.')
      ? relative(root, normalize(join(dirname(file), specifier)))
          .split(sep)
          .join('/')
      : specifier
    found.push({
      file: relative(root, file).split(sep).join('/'),
      target,
      typesOnly: Boolean(match[1]) || inlineTypes,
    })
  }
  return found
}

function everyNameIsType(names: string): boolean {
  const inside = /\{([^}]*)\}/.exec(names)?.[1] ?? ''
  return inside
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean)
    .every((name) => name.startsWith('type '))
}

/** The most particular room of the table that holds a file of src; `main` for what lies at the top. */
function roomOf(path: string): string {
  const folder = path.split('/').slice(1, -1).join('/')
  if (folder === '') return 'main'
  const rooms = Object.keys(MAY_IMPORT).filter((room) => isWithin(folder, room))
  return rooms.sort((a, b) => b.length - a.length)[0] ?? folder
}

function isWithin(folder: string, room: string): boolean {
  return folder === room || folder.startsWith(`${room}/`)
}

function packageOf(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier
  const parts = specifier.split('/')
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]!
}

function withoutComments(code: string): string {
  return code.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    return statSync(path).isDirectory() ? filesUnder(path) : [path]
  })
}

function exists(path: string): boolean {
  try {
    statSync(path)
    return true
  } catch {
    return false
  }
}

import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize, relative, sep } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Which folder of src may import which. A folder may always import itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  lib: [],
  domain: ['lib'],
  config: ['lib', 'domain'],
  services: ['lib', 'domain'],
  io: ['lib', 'domain'],
}

/** Libraries, each with its one home. */
const HOMES: Record<string, string> = {
  viem: 'src/io/chain',
  'node-av': 'src/io/media',
  koffi: 'src/io/media',
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
}

interface Import {
  readonly file: string
  readonly target: string
  readonly typesOnly: boolean
}

const sources = filesUnder(join(root, 'src')).filter(
  (file) => file.endsWith('.ts') && !file.endsWith('.test.ts'),
)
const imports = sources.flatMap(importsOf)

test('every folder of src imports only what it may', () => {
  const wrong = imports.filter(({ file, target, typesOnly }) => {
    if (!target.startsWith('src/')) return false
    const from = folderOf(file)
    const to = folderOf(target)
    if (from === to || from === '') return false
    if (from.startsWith('io/') && to === 'services') return !typesOnly
    const top = from.split('/')[0]!
    return !MAY_IMPORT[top]?.includes(to)
  })
  assert.deepEqual(wrong.map(sentence), [])
})

test('every library is imported only in its home', () => {
  const wrong = imports.filter(({ file, target }) => {
    const home = HOMES[packageOf(target)]
    return home !== undefined && !file.startsWith(`${home}/`)
  })
  assert.deepEqual(wrong.map(sentence), [])
})

test('the domain is functions of values: no Node modules, no waiting, no time, no chance', () => {
  const wrong = imports.filter(
    ({ file, target }) => file.startsWith('src/domain/') && target.startsWith('node:'),
  )
  assert.deepEqual(wrong.map(sentence), [])
  for (const file of sources.filter((file) => file.startsWith(join(root, 'src/domain')))) {
    const code = withoutComments(readFileSync(file, 'utf8'))
    const found = /\basync\b|\bawait\b|\bDate\b|Math\.random|setTimeout|setInterval/.exec(code)
    assert.equal(found?.[0], undefined, `${relative(root, file)} uses ${found?.[0]}`)
  }
})

test('services import no package and no Node module', () => {
  const wrong = imports.filter(
    ({ file, target }) => file.startsWith('src/services/') && !target.startsWith('src/'),
  )
  assert.deepEqual(wrong.map(sentence), [])
})

test('only main.ts and bench-main.ts touch the process', () => {
  const wrong = sources.filter((file) => {
    if (/src[\\/](bench-)?main\.ts$/.test(file) || file.includes(join('src', 'io', 'media'))) return false
    if (file.endsWith('write-docs.ts')) return false
    return /\bprocess\.(exit|argv|env|on|once)\b/.test(withoutComments(readFileSync(file, 'utf8')))
  })
  assert.deepEqual(
    wrong.map((file) => relative(root, file)),
    [],
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
  for (const name of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md']) {
    const text = readFileSync(join(root, name), 'utf8')
    const named = [...text.matchAll(/`((?:src|devnet|bench|test|docs|proto|bin)\/[\w./-]+\.\w+)`/g)].map(
      (match) => match[1]!,
    )
    assert.deepEqual(
      named.filter((path) => !exists(join(root, path))),
      [],
      name,
    )
  }
})

function sentence({ file, target, typesOnly }: Import): string {
  return `${file} may not import ${target}${typesOnly ? ' (types)' : ''}`
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

function folderOf(path: string): string {
  const parts = path.split('/').slice(1, -1)
  return parts[0] === 'io' ? parts.slice(0, 2).join('/') : (parts[0] ?? '')
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

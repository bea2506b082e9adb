import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'

/** Sources cite the protocol by file and section: `wire.md §10`, `payments.md §15, 21`, `chain.md §20, B5`. */

const root = fileURLToPath(new URL('../..', import.meta.url))
const PLACES = ['src', 'test', 'devnet', 'bench', 'docs', 'proto', 'bin']
const TEXT = /\.(ts|md|json|proto|sh|js|cjs|mjs|yaml)$|^[^.]+$/

const texts = [
  ...readdirSync(root).filter((name) => statSync(join(root, name)).isFile() && TEXT.test(name)),
  ...PLACES.flatMap((place) => filesUnder(join(root, place)).map((file) => relative(root, file))),
]
  .filter((name) => TEXT.test(name) && name !== 'package-lock.json')
  .map((name) => ({ name: name.split(sep).join('/'), text: readFileSync(join(root, name), 'utf8') }))

const ITEM = '(?:,? #\\d+|, (?:edge |case |row )?\\d+(?= ?[).,;|\\]"\']|$)|,? [A-E]\\d+\\b)'
const PLACE = `§\\d+(?:\\.\\d+)*(?:${ITEM})*`
const CITATION = new RegExp(
  `([A-Za-z][A-Za-z-]*)\\.md[)\\]\`]*,? (${PLACE}(?:(?:[,;–] ?| and )${PLACE})*)`,
  'g',
)
/** Other people's documents. */
const ELSEWHERE = /\bRFC \d+ §[\d.]+/g

interface Citation {
  readonly by: string
  readonly file: string
  readonly section: string
  readonly items: readonly string[]
}

suite('citations', () => {
  const found: Citation[] = []
  const bare: string[] = []
  for (const { name, text } of texts) {
    if (name === 'test/tree/citations.test.ts') continue
    const joined = text.replace(/\n\s*(?:\*(?!\/)|\/\/)?\s*/g, ' \n ').replace(/ \n (?!\|)/g, ' ')
    const rest = joined.replace(ELSEWHERE, '').replace(CITATION, (_, file: string, places: string) => {
      for (const place of places.split(/(?=§)/)) found.push(cited(name, file, place))
      return ''
    })
    const own = /^docs\/protocol\/([a-z]+)\.md$/.exec(name)?.[1]
    for (const [place] of rest.matchAll(new RegExp(`${PLACE}|§`, 'g'))) {
      if (own && place !== '§') found.push(cited(name, own, place))
      else bare.push(`${name}: ${place}`)
    }
  }

  test('every section that is cited exists, and every numbered row', () => {
    assert.ok(found.length > 400, `${found.length} citations`)
    assert.deepEqual([...new Set(found.flatMap(faultsOf))], [])
  })

  test('every citation names its file', () => {
    assert.deepEqual(bare, [])
  })

  test('no comment carries a mark that points nowhere', () => {
    const marks = texts.flatMap(({ name, text }) =>
      [...text.matchAll(/\([A-E]\d+\)/g)].map(([mark]) => `${name}: ${mark}`),
    )
    assert.deepEqual(marks, [])
  })
})

/** Where people keep their work on machines of their own. */
const MACHINES = /(?<![\w.~-])\/(?:work|workspace|Users)\/\w+/g

test('no file names a path that leaves the repository', () => {
  const leaving: string[] = []
  for (const { name, text } of texts) {
    for (const [path] of text.matchAll(/(?<![\w./\\-])(?:\.\.\/)+[\w.-]*/g))
      if (relative(root, resolve(root, dirname(name), path)).startsWith('..'))
        leaving.push(`${name}: ${path}`)
    for (const [path] of text.matchAll(MACHINES)) leaving.push(`${name}: ${path}`)
  }
  assert.deepEqual(leaving, [])
})

function cited(by: string, file: string, place: string): Citation {
  const [section = ''] = /\d+(?:\.\d+)*/.exec(place) ?? []
  const items = [...place.slice(1 + section.length).matchAll(/[A-E]?\d+/g)].map(([item]) => item)
  return { by, file, section, items }
}

function faultsOf({ by, file, section, items }: Citation): string[] {
  const path = [`docs/protocol/${file}.md`, `docs/${file}.md`, `${file}.md`].find((each) =>
    existsSync(join(root, each)),
  )
  if (!path) return [`${by} cites ${file}.md, which does not exist`]
  const text = readFileSync(join(root, path), 'utf8')
  const inside = sectionOf(text, section)
  const [, outer = '', last = ''] = /^(.*)\.(\d+)$/.exec(section) ?? []
  if (inside === null && hasRow(sectionOf(text, outer), last)) return []
  if (inside === null) return [`${by} cites ${file}.md §${section}, which does not exist`]
  return items
    .filter((item) => !hasRow(inside, item))
    .map((item) => `${by} cites row ${item} of ${file}.md §${section}, which does not exist`)
}

/** The text below a numbered heading, down to the next heading of its level or above. */
function sectionOf(text: string, section: string): string | null {
  const heading = new RegExp(`^(#+) ${section.replaceAll('.', '\\.')}\\.? .*$`, 'm').exec(text)
  if (!section || !heading) return null
  const below = text.slice(heading.index + heading[0].length)
  const next = new RegExp(`^#{1,${heading[1]!.length}} `, 'm').exec(below)
  return below.slice(0, next?.index)
}

/** Whether a table or list numbers something so. */
function hasRow(text: string | null, item: string): boolean {
  return text !== null && new RegExp(`^(?:\\| \\**${item}\\**\\b[^|]*\\||${item}\\. )`, 'm').test(text)
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    return statSync(path).isDirectory() ? filesUnder(path) : [path]
  })
}

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { after, describe, it, test } from 'node:test'
import { type Mistake, make, World } from './mistake.ts'

/** What operators get wrong, each made with a real process. The rows are in `mistakes/`, a file for each kind. */

/** Rows at once: a start takes half a second of one core. */
const AT_ONCE = 3

const folder = new URL('./mistakes/', import.meta.url)
const kinds = await Promise.all(
  readdirSync(folder)
    .sort()
    .map(async (file) => {
      const { mistakes } = (await import(new URL(file, folder).href)) as { mistakes: readonly Mistake[] }
      return { kind: file.replace('.ts', ''), mistakes }
    }),
)
const rows = kinds.flatMap(({ mistakes }) => mistakes)

test('at least 70 mistakes are tried, each once', () => {
  assert.ok(rows.length >= 70, `${rows.length} rows`)
  const names = rows.map(({ name }) => name)
  assert.deepEqual(
    names.filter((name, at) => names.indexOf(name) !== at),
    [],
  )
})

const world = new World()
after(() => world[Symbol.asyncDispose]())
for (const { kind, mistakes } of kinds) {
  describe(kind, { concurrency: AT_ONCE }, () => {
    for (const mistake of mistakes) {
      it(mistake.name, async (t) => {
        if (!(await make(mistake, world))) t.skip('this machine does not allow it')
      })
    }
  })
}

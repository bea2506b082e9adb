import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Store } from '../io/store/store.ts'
import { runStore } from './store.ts'

const folder = mkdtempSync(join(tmpdir(), 'livepeer-store-command-'))
after(() => rmSync(folder, { recursive: true, force: true }))

async function run(line: string): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', '']
  const code = await runStore({
    argv: line.split(' ').filter((word) => word !== ''),
    readText: (path) => (path === '/etc/store' ? 'postgres://u:hunter22@db:1/x\n' : null),
    exists: existsSync,
    write: (text) => {
      out += text
    },
    writeError: (text) => {
      err += text
    },
  })
  return { code, out, err }
}

test('store copy tells how many rows of each table it copied', async () => {
  const [from, to] = [join(folder, 'a', 'one.sqlite3'), join(folder, 'b', 'two.sqlite3')]
  const store = new Store({ location: from })
  await store.open()
  await store.bindChain(7n)
  await store.secrets('ticket')
  await store.close()
  const { code, err, out } = await run(`copy ${from} ${to}`)
  assert.deepEqual([code, err], [0, ''])
  assert.match(out, /^kv: 1 row\nsecrets: 1 row\ntickets: 0 rows\n/)
  assert.ok(out.endsWith(`all of ${from} is in ${to}\n`))
  const again = await run(`copy ${from} ${to}`)
  assert.deepEqual(again, {
    ...{ code: 1, out: '' },
    err: `${to} has rows in its table kv already, so nothing was copied: give another file\n`,
  })
})

test('store copy of a database that cannot be reached shows nothing secret', async () => {
  const { code, err } = await run(`copy /etc/store ${join(folder, 'three.sqlite3')}`)
  assert.equal(code, 1)
  assert.match(err, /^the database at postgres:\/\/db:1 cannot be used: /)
  assert.doesNotMatch(err, /hunter22/)
})

for (const [line, sentence] of [
  ['', 'livepeer store knows only copy, not ""'],
  ['move a b', 'livepeer store knows only copy, not "move"'],
  ['copy a', 'livepeer store copy needs FROM and TO, not 1 places'],
  ['copy a b c', 'livepeer store copy needs FROM and TO, not 3 places'],
  ['copy -v a b', 'livepeer store copy has no flag -v'],
  ['copy postgres://h/x postgres://h/x', 'FROM and TO are the same store'],
  ['copy postgres://h/x b -storeSchema pg_x', '-storeSchema must be the name that the nodes are given'],
  ['copy /no/such/file b', 'there is no file /no/such/file'],
] as const) {
  test(`store ${line}: ${sentence}`, async () => {
    assert.deepEqual(await run(line), {
      code: 2,
      out: '',
      err: `${sentence}: livepeer store --help explains\n`,
    })
  })
}

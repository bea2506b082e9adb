import assert from 'node:assert/strict'
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { Journal } from './journal.ts'

const folder = mkdtempSync(join(tmpdir(), 'livepeer-journal-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let files = 0
const newFile = () => join(folder, `${files++}.journal`)

async function written(path: string, ...texts: readonly string[]): Promise<void> {
  const { journal } = await Journal.open(path)
  await Promise.all(texts.map((text) => journal.append(text)))
  await journal.close()
}

async function readAgain(path: string) {
  const { content, journal } = await Journal.open(path)
  await journal.close()
  return content
}

test('records are read again in the order in which they were added, until the journal is cleared', async () => {
  const path = newFile()
  const { content, journal } = await Journal.open(path)
  assert.deepEqual(content, { records: [], damaged: 0 })
  assert.equal(journal.records, 0)
  await Promise.all(['one', 'two', '{"three":"ü 🎥"}', ''].map((text) => journal.append(text)))
  await journal.append('five')
  assert.equal(journal.records, 5)
  await journal.close()
  assert.equal(statSync(path).mode & 0o777, 0o600)
  const again = await Journal.open(path)
  assert.deepEqual(again.content, { records: ['one', 'two', '{"three":"ü 🎥"}', '', 'five'], damaged: 0 })
  assert.equal(again.journal.records, 5)
  assert.ok(await again.journal.clear(5))
  await again.journal.append('six')
  await again.journal.close()
  assert.deepEqual((await readAgain(path)).records, ['six'])
})

test('a journal to which something was added meanwhile is not cleared', async () => {
  const path = newFile()
  const { journal } = await Journal.open(path)
  await journal.append('one')
  const adding = journal.append('two')
  assert.equal(await journal.clear(1), false)
  await adding
  const clearing = journal.clear(2)
  await Promise.resolve()
  const later = journal.append('three')
  assert.equal(await clearing, true)
  await later
  assert.equal(journal.records, 1)
  await journal.close()
  assert.deepEqual((await readAgain(path)).records, ['three'])
})

test('a crash at any byte loses only what was not acknowledged', async () => {
  const path = newFile()
  await written(path, 'one', 'two')
  const whole = readFileSync(path)
  const one = whole.indexOf(0x0a) + 1
  for (let bytes = 0; bytes <= whole.length; bytes++) {
    writeFileSync(path, whole.subarray(0, bytes))
    const expected = bytes === whole.length ? ['one', 'two'] : bytes >= one ? ['one'] : []
    assert.deepEqual(await readAgain(path), { records: expected, damaged: 0 })
    await written(path, 'next')
    assert.deepEqual((await readAgain(path)).records, [...expected, 'next'])
  }
})

test('a damaged record does not hide those after it, and the file is kept', async () => {
  const path = newFile()
  await written(path, 'one', 'two', 'three')
  const text = readFileSync(path, 'utf8').replace('two', 'tow')
  writeFileSync(path, text)
  assert.deepEqual(await readAgain(path), { records: ['one', 'three'], damaged: 1 })
  assert.equal(readFileSync(`${path}.damaged`, 'utf8'), text)
  await written(path, 'four')
  assert.deepEqual(await readAgain(path), { records: ['one', 'three', 'four'], damaged: 0 })
})

test('whatever is in the file, what is added after it is read again', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (rubbish) => {
      const path = newFile()
      writeFileSync(path, rubbish)
      await written(path, 'mine')
      assert.equal((await readAgain(path)).records.at(-1), 'mine')
    }),
    { numRuns: 100, seed: 7 },
  )
})

test('a journal that has reached its limit refuses more, with its size, and keeps what it has', async () => {
  const path = newFile()
  const { journal } = await Journal.open(path, { maxBytes: 60 })
  await journal.append('a'.repeat(20))
  await assert.rejects(journal.append('b'.repeat(30)), {
    code: 'store-unwritable',
    message: `the journal ${path} cannot be used, it has 38 bytes already: fix that, or give the node another -dataDir`,
  })
  await journal.append('c')
  await journal.close()
  assert.deepEqual((await readAgain(path)).records, ['a'.repeat(20), 'c'])
})

test('a folder that cannot be used is named', async () => {
  await assert.rejects(Journal.open(join(folder, 'none', 'x.journal')), { code: 'store-unwritable' })
  assert.ok(!existsSync(join(folder, 'none')))
  const path = newFile()
  appendFileSync(path, '')
  await assert.rejects(Journal.open(join(path, 'x.journal')), { code: 'store-unwritable' })
})

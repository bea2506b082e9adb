import assert from 'node:assert/strict'
import { test } from 'node:test'
import { objectsSuite } from '../../../test/suites/objects.ts'
import { FILES_PER_DIRECTORY, MemoryObjects } from './memory-objects.ts'

objectsSuite('in memory', async () => new MemoryObjects())

const bytes = (length: number) => new Uint8Array(length)

test('a directory keeps its twelve newest files, and others are unaffected', async () => {
  const objects = new MemoryObjects()
  await objects.save('movie/other/0.ts', bytes(1))
  for (let i = 0; i < 20; i++) await objects.save(`movie/source/${i}.ts`, bytes(i))
  assert.equal(objects.files, FILES_PER_DIRECTORY + 1)
  assert.equal(await objects.load('movie/source/7.ts'), null)
  assert.equal((await objects.load('movie/source/8.ts'))?.length, 8)
  assert.equal((await objects.load('movie/other/0.ts'))?.length, 1)
})

test('a file that is stored again replaces the old one and becomes the newest', async () => {
  const objects = new MemoryObjects({ filesPerDirectory: 2 })
  await objects.save('d/a', bytes(1))
  await objects.save('d/b', bytes(1))
  await objects.save('d/a', bytes(5))
  await objects.save('d/c', bytes(1))
  assert.equal(await objects.load('d/b'), null)
  assert.equal((await objects.load('d/a'))?.length, 5)
})

test('the whole store is limited: the oldest file of any directory goes first', async () => {
  const objects = new MemoryObjects({ maxBytes: 4000 })
  for (let i = 0; i < 100; i++) await objects.save(`d${i}/x`, bytes(1000))
  assert.ok(objects.bytes <= 4000)
  assert.equal(await objects.load('d0/x'), null)
  assert.equal((await objects.load('d99/x'))?.length, 1000)
})

test('an owner with more than its share loses its oldest file first, so that none displaces the others’ files', async () => {
  const objects = new MemoryObjects({ maxBytes: 20_000 })
  for (const session of ['a', 'b']) await objects.save(`${session}/P/0.ts`, bytes(3_000))
  for (let i = 0; i < 30; i++) await objects.save(`greedy/P${i}/0.ts`, bytes(5_000))
  for (const session of ['a', 'b']) assert.equal((await objects.load(`${session}/P/0.ts`))?.length, 3_000)
  assert.equal((await objects.load('greedy/P29/0.ts'))?.length, 5_000)
  assert.ok(objects.bytes <= 20_000)
  await objects.drop('greedy/')
  assert.equal(objects.files, 2)
})

test('empty files are limited too', async () => {
  const objects = new MemoryObjects({ maxBytes: 100_000 })
  for (let i = 0; i < 10_000; i++) await objects.save(`d${i}/x`, bytes(0))
  assert.ok(objects.files < 200)
})

test('a file larger than the store is refused, and no other file is lost', async () => {
  const objects = new MemoryObjects({ maxBytes: 4000 })
  await objects.save('a/x', bytes(10))
  await assert.rejects(objects.save('b/x', bytes(4000)), { code: 'object-too-big' })
  assert.equal((await objects.load('a/x'))?.length, 10)
})

test('what is dropped frees the memory that it took', async () => {
  const objects = new MemoryObjects()
  for (const path of ['m/source/0.ts', 'm/0.ts', 'mm/p/0.ts', 'x/m/0.ts']) await objects.save(path, bytes(3))
  await objects.drop('m/')
  assert.equal(objects.files, 2)
  for (const prefix of ['mm/', 'x/']) await objects.drop(prefix)
  assert.equal(objects.bytes, 0)
})

test('a file is fetched where the node serves it, whatever its name', async () => {
  const objects = new MemoryObjects({ baseUrl: 'https://10.0.0.1:8935/stream/' })
  assert.equal(await objects.save('a b/#1?.ts', bytes(1)), 'https://10.0.0.1:8935/stream/a%20b/%231%3F.ts')
})

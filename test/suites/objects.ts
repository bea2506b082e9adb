import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectStore } from '../../src/lib/object-store.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** What every object store must show; `open` gives an empty one. Bounds are each store's own. */
export function objectsSuite(name: string, open: () => Promise<ObjectStore>): void {
  const stored = async (objects: ObjectStore, path: string) => {
    const found = await objects.get(path)
    return found && new TextDecoder().decode(found)
  }

  test(`objects ${name}: what is put is found under its path, and nothing under another`, async () => {
    const objects = await open()
    await objects.put('movie/source/0.ts', bytes('zero'))
    await objects.put('movie/source/1.ts', bytes(''))
    assert.equal(await stored(objects, 'movie/source/0.ts'), 'zero')
    assert.equal(await stored(objects, 'movie/source/1.ts'), '')
    for (const path of ['movie/source/2.ts', 'movie/source', 'movie/source/', 'source/0.ts'])
      assert.equal(await objects.get(path), null)
  })

  test(`objects ${name}: every file has a URL of its own, which ends with its encoded path`, async () => {
    const objects = await open()
    const urls = [
      await objects.put('movie/P/0.ts', bytes('0')),
      await objects.put('movie/P/1.ts', bytes('1')),
    ]
    urls.push(await objects.put('movie/a b#1?/0.ts', bytes('2')))
    const ends = ['/movie/P/0.ts', '/movie/P/1.ts', '/movie/a%20b%231%3F/0.ts']
    for (const [index, url] of urls.entries()) assert.ok(url.endsWith(ends[index]!), url)
    assert.equal(
      await objects.put('movie/P/0.ts', bytes('new')),
      urls[0],
      'a new file has the URL of the old',
    )
  })

  test(`objects ${name}: a file that is put again replaces the old one`, async () => {
    const objects = await open()
    for (const text of ['old', 'new']) await objects.put('d/a', bytes(text))
    assert.equal(await stored(objects, 'd/a'), 'new')
    await objects.remove('d/a')
    assert.equal(await objects.get('d/a'), null)
  })

  test(`objects ${name}: a file is removed alone, and one that is not there is removed as well`, async () => {
    const objects = await open()
    for (const path of ['d/a', 'd/b', 'd/ab']) await objects.put(path, bytes(path))
    await objects.remove('d/a')
    await objects.remove('d/a')
    await objects.remove('e/a')
    assert.equal(await objects.get('d/a'), null)
    for (const path of ['d/b', 'd/ab']) assert.equal(await stored(objects, path), path)
    await objects.put('d/a', bytes('again'))
    assert.equal(await stored(objects, 'd/a'), 'again')
  })

  test(`objects ${name}: dropping a prefix removes all files in it and no others`, async () => {
    const objects = await open()
    const dropped = ['m/source/0.ts', 'm/p/0.ts', 'm/0.ts']
    const others = ['mm/p/0.ts', 'x/m/0.ts']
    for (const path of [...dropped, ...others]) await objects.put(path, bytes(path))
    await objects.drop('m/')
    await objects.drop('absent/')
    for (const path of dropped) assert.equal(await objects.get(path), null)
    for (const path of others) assert.equal(await stored(objects, path), path)
    await objects.drop('x/m/')
    assert.equal(await objects.get('x/m/0.ts'), null)
    assert.equal(await stored(objects, 'mm/p/0.ts'), 'mm/p/0.ts')
  })
}

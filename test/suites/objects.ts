import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectStore } from '../../src/lib/object-store.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/**
 * What every object store must show; `open` gives an empty one. Bounds are each store's own; one in memory holds any path.
 */
export function objectsSuite(
  name: string,
  open: () => Promise<ObjectStore>,
  { checksPaths = false, skip = false }: { checksPaths?: boolean; skip?: boolean | string } = {},
): void {
  const stored = async (objects: ObjectStore, path: string) => {
    const found = await objects.load(path)
    return found && new TextDecoder().decode(found)
  }

  test(`objects ${name}: what is put is found under its path, and nothing under another`, {
    skip,
  }, async () => {
    const objects = await open()
    await objects.save('movie/source/0.ts', bytes('zero'))
    await objects.save('movie/source/1.ts', bytes(''))
    assert.equal(await stored(objects, 'movie/source/0.ts'), 'zero')
    assert.equal(await stored(objects, 'movie/source/1.ts'), '')
    for (const path of ['movie/source/2.ts', 'movie/source', 'movie/source/', 'source/0.ts'])
      assert.equal(await objects.load(path), null)
  })

  test(`objects ${name}: every file has a URL of its own, which ends with its encoded path`, {
    skip,
  }, async () => {
    const objects = await open()
    const urls = [
      await objects.save('movie/P/0.ts', bytes('0')),
      await objects.save('movie/P/1.ts', bytes('1')),
    ]
    urls.push(await objects.save('movie/a b#1?/0.ts', bytes('2')))
    const ends = ['/movie/P/0.ts', '/movie/P/1.ts', '/movie/a%20b%231%3F/0.ts']
    for (const [index, url] of urls.entries()) assert.ok(url.endsWith(ends[index]!), url)
    assert.equal(
      await objects.save('movie/P/0.ts', bytes('new')),
      urls[0],
      'a new file has the URL of the old',
    )
  })

  test(`objects ${name}: a file that is put again replaces the old one`, { skip }, async () => {
    const objects = await open()
    for (const text of ['old', 'new']) await objects.save('d/a', bytes(text))
    assert.equal(await stored(objects, 'd/a'), 'new')
    await objects.remove('d/a')
    assert.equal(await objects.load('d/a'), null)
  })

  test(`objects ${name}: a file is removed alone, and one that is not there is removed as well`, {
    skip,
  }, async () => {
    const objects = await open()
    for (const path of ['d/a', 'd/b', 'd/ab']) await objects.save(path, bytes(path))
    await objects.remove('d/a')
    await objects.remove('d/a')
    await objects.remove('e/a')
    assert.equal(await objects.load('d/a'), null)
    for (const path of ['d/b', 'd/ab']) assert.equal(await stored(objects, path), path)
    await objects.save('d/a', bytes('again'))
    assert.equal(await stored(objects, 'd/a'), 'again')
  })

  test(`objects ${name}: dropping a prefix removes all files in it and no others`, { skip }, async () => {
    const objects = await open()
    const dropped = ['m/source/0.ts', 'm/p/0.ts', 'm/0.ts']
    const others = ['mm/p/0.ts', 'x/m/0.ts']
    for (const path of [...dropped, ...others]) await objects.save(path, bytes(path))
    await objects.drop('m/')
    await objects.drop('absent/')
    for (const path of dropped) assert.equal(await objects.load(path), null)
    for (const path of others) assert.equal(await stored(objects, path), path)
    await objects.drop('x/m/')
    assert.equal(await objects.load('x/m/0.ts'), null)
    assert.equal(await stored(objects, 'mm/p/0.ts'), 'mm/p/0.ts')
  })

  test(`objects ${name}: what is listed is in order of the paths, with its size and time`, {
    skip,
  }, async () => {
    const objects = await open()
    const since = Date.now()
    for (const path of ['m/b/1.ts', 'm/a/0.ts', 'm/b-c/0.ts', 'm/b/0.ts', 'mm/0.ts', 'l']) {
      await objects.save(path, bytes(path))
    }
    const all = await objects.list('m/')
    assert.deepEqual(
      all.files.map(({ path }) => path),
      ['m/a/0.ts', 'm/b-c/0.ts', 'm/b/0.ts', 'm/b/1.ts'],
    )
    assert.deepEqual(all.folders, [])
    assert.equal(all.next, null)
    for (const { path, bytes: size, savedMs } of all.files) {
      assert.equal(size, path.length)
      // Stores may keep whole seconds.
      assert.ok(savedMs >= since - 2_000 && savedMs <= Date.now() + 2_000, `${savedMs}`)
    }
    assert.equal((await objects.list('')).files.length, 6)
    assert.deepEqual(
      (await objects.list('m/b')).files.map(({ path }) => path),
      ['m/b-c/0.ts', 'm/b/0.ts', 'm/b/1.ts'],
    )
    assert.deepEqual(await objects.list('absent/'), { files: [], folders: [], next: null })
  })

  test(`objects ${name}: a shallow list names the folders behind a prefix instead of their files`, {
    skip,
  }, async () => {
    const objects = await open()
    for (const path of ['m/index.m3u8', 'm/a/p.json', 'm/a/low/0.ts', 'm/b/0.ts', 'n/0.ts'])
      await objects.save(path, bytes('x'))
    const shown = async (prefix: string) => {
      const { files, folders } = await objects.list(prefix, { shallow: true })
      return [files.map(({ path }) => path), folders]
    }
    assert.deepEqual(await shown(''), [[], ['m/', 'n/']])
    assert.deepEqual(await shown('m/'), [['m/index.m3u8'], ['m/a/', 'm/b/']])
    assert.deepEqual(await shown('m/a/p'), [['m/a/p.json'], []])
    assert.deepEqual(await shown('m/a'), [[], ['m/a/']])
  })

  test(`objects ${name}: a long list comes in parts, each after the one before`, { skip }, async () => {
    const objects = await open()
    const paths = Array.from({ length: 11 }, (_, i) => `m/${String.fromCharCode(97 + i)}/0.ts`)
    for (const path of paths) await objects.save(path, bytes('x'))
    for (const shallow of [false, true]) {
      const found: string[] = []
      let parts = 0
      let after: string | null = ''
      while (after !== null && parts < 10) {
        const part = await objects.list('m/', { shallow, after, limit: 4 })
        found.push(...part.files.map(({ path }) => path), ...part.folders)
        after = part.next
        parts++
      }
      assert.deepEqual(found, shallow ? paths.map((path) => path.slice(0, -4)) : paths)
      assert.equal(parts, 3)
    }
    assert.deepEqual(
      (await objects.list('m/', { after: 'm/j/0.ts' })).files.map(({ path }) => path),
      ['m/k/0.ts'],
    )
  })

  test(`objects ${name}: a file that is larger than its reader wants is an error`, { skip }, async () => {
    const objects = await open()
    await objects.save('d/a', bytes('four'))
    assert.equal((await objects.load('d/a', { maxBytes: 4 }))?.length, 4)
    await assert.rejects(objects.load('d/a', { maxBytes: 3 }), { code: 'object-too-big' })
  })

  if (!checksPaths) return
  test(`objects ${name}: a path that not every store can hold is refused`, { skip }, async () => {
    const objects = await open()
    const bad = [
      '',
      '/',
      '../a',
      'a/../b',
      'a/./b',
      'a//b',
      '/a',
      'a/',
      'a\0b',
      `${'x'.repeat(256)}`,
      '\ud800',
    ]
    bad.push(Array(200).fill('xxxxxx').join('/'))
    for (const path of bad) {
      await assert.rejects(objects.save(path, bytes('x')), { code: 'bad-path' }, JSON.stringify(path))
      assert.equal(await objects.load(path), null, JSON.stringify(path))
      await objects.remove(path)
    }
    for (const prefix of ['', '/', '../', 'a/../', 'a']) {
      await assert.rejects(objects.drop(prefix), { code: 'bad-path' }, JSON.stringify(prefix))
    }
    assert.equal((await objects.list('')).files.length, 0)
  })
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeOutsideStore } from '../../../test/fakes/outside-store.ts'
import { removeAll } from './remove-all.ts'

test('a store that lists files without end is left, and said to', async () => {
  const store = new FakeOutsideStore()
  let pages = 0
  store.list = async (prefix) => {
    const path = `${prefix}${String(pages++).padStart(9, '0')}`
    return { files: [{ path, bytes: 1, savedMs: 0 }], folders: [], next: path }
  }
  await assert.rejects(removeAll(store, 'a/'), {
    ...{ code: 'store-unreachable', message: 'the store lists files without end' },
  })
  assert.equal(pages, 1_000)
})

import {
  isObjectPath,
  type Listing,
  MAX_LISTED,
  type ObjectStore,
  StoreError,
} from '../../lib/object-store.ts'

/** Files that are removed at once. */
const AT_ONCE = 8
/** A million files: a store that lists more would do so for ever. */
const MAX_PAGES = 1_000

/** Removes all files under a prefix that ends with a slash, from a store that has no folders. Throws StoreError. */
export async function removeAll(store: ObjectStore, prefix: string): Promise<void> {
  if (!prefix.endsWith('/') || !isObjectPath(prefix.slice(0, -1))) {
    throw new StoreError('bad-path', 'only what a folder holds can be dropped')
  }
  let after: string | null = ''
  for (let pages = 0; after !== null; pages++) {
    if (pages === MAX_PAGES) throw new StoreError('store-unreachable', 'the store lists files without end')
    const part: Listing = await store.list(prefix, { after, limit: MAX_LISTED })
    const paths = part.files.map(({ path }) => path)
    const removing = async () => {
      for (let path = paths.pop(); path !== undefined; path = paths.pop()) await store.remove(path)
    }
    await Promise.all(Array.from({ length: AT_ONCE }, removing))
    after = part.next
  }
}

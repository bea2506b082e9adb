import { StoreError } from '../../lib/object-store.ts'

/** Sorts after everything that lies in a folder. */
const LAST = '\u{10ffff}'

/** How a bucket is used. */
export interface BucketOptions {
  readonly shown: string
  /** Whether everybody may read what is saved. */
  readonly isPublic: boolean
}

/** Where a listing goes on after a file or a folder that was named: what lies in a folder sorts behind it. */
export function behind(after: string): string {
  return after.endsWith('/') ? after + LAST : after
}

/** Reads a body up to a size. Throws StoreError `object-too-big`. */
export async function readBounded(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  maxBytes: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.length
    if (length > maxBytes) throw new StoreError('object-too-big', `a file is more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks, length))
}

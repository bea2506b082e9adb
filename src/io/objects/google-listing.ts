import { z } from 'zod'
import type { Listing } from '../../lib/object-store.ts'
import { parsedJson } from '../../lib/parsed-json.ts'

const any = z.unknown().optional()
const schema = z.object({
  items: z.array(z.object({ name: any, size: any, updated: any })).optional(),
  prefixes: z.array(z.unknown()).optional(),
  nextPageToken: z.string().optional(),
})

/** What was asked for: below which prefix of the bucket, behind which file or folder, and how many at most. */
export interface AskedListing {
  readonly root: string
  readonly after: string
  readonly most: number
}

/**
 * Reads a page of a listing in Google's JSON, whatever it is; null where it is none. What was not asked for is left out.
 * Never throws.
 */
export function readGoogleListing(answer: Uint8Array, { after, most, root }: AskedListing): Listing | null {
  const { data } = schema.safeParse(parsedJson(new TextDecoder().decode(answer)))
  if (!data) return null
  const { items = [], nextPageToken, prefixes = [] } = data
  const inside = (name: unknown): string[] =>
    typeof name === 'string' && name.startsWith(root) && name.slice(root.length) > after
      ? [name.slice(root.length)]
      : []
  const files = items.flatMap(({ name, size, updated }) =>
    inside(name).map((path) => ({ path, bytes: countOf(size), savedMs: timeOf(updated) })),
  )
  const names = [...files.map(({ path }) => path), ...prefixes.flatMap(inside)].sort()
  const shown = new Set(names.slice(0, most))
  const isMore = names.length > most || nextPageToken !== undefined
  return {
    files: files.filter(({ path }) => shown.has(path)),
    folders: [...shown].filter((name) => name.endsWith('/')),
    next: isMore ? ([...shown].at(-1) ?? null) : null,
  }
}

function countOf(value: unknown): number {
  const count = typeof value === 'string' || typeof value === 'number' ? Number(value) : 0
  return Number.isSafeInteger(count) && count > 0 ? count : 0
}

function timeOf(text: unknown): number {
  return (typeof text === 'string' && Date.parse(text)) || 0
}

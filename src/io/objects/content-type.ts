/** By extension: what is stored, in the words of players (gateway.md §6). */
const TYPES: Readonly<Record<string, string>> = {
  ts: 'video/mp2t',
  mp4: 'video/mp4',
  m3u8: 'application/x-mpegurl',
  json: 'application/json',
}

/** The content type of a file. */
export function contentTypeOf(path: string): string {
  const extension = path.slice(path.lastIndexOf('.') + 1)
  return Object.hasOwn(TYPES, extension) ? TYPES[extension]! : 'application/octet-stream'
}

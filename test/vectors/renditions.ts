import { readFileSync } from 'node:fs'

/** A recorded rendition by profile and number of its segment, as `half-0`. */
export function recordedRendition(name: string): Uint8Array {
  return readFileSync(new URL(`renditions/${name}.mpegts`, import.meta.url))
}

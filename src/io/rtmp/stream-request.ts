import { parseStreamPath } from '../../domain/stream-name.ts'
import type { StreamRequest } from './rtmp-session.ts'

/**
 * The stream that a client asks for: app and name as a path, whose query is for webhooks (gateway.md §2). A query on the
 * app swallows the name, as with peers. Empty if it names none.
 */
export function manifestIdOf({ app, name }: StreamRequest): string {
  const path = [app, name].map((part) => part.replace(/^\/+|\/+$/g, '')).filter((part) => part !== '')
  return parseStreamPath(`/${path.join('/').split('?', 1)[0]}`).manifestId
}

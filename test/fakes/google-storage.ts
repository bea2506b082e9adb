import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A stand-in for the JSON API of Google Cloud Storage, as far as the store uses it, with one bucket. */
export class FakeGoogleStorage implements AsyncDisposable {
  readonly #server = createServer((request, response) => void this.#serve(request, response))
  readonly #bucket: string
  readonly files = new Map<
    string,
    {
      readonly bytes: Buffer
      readonly updated: string
      readonly facts: Record<string, unknown>
      readonly acl: string | null
    }
  >()
  /** Each request's authorization. */
  readonly tokens = new Set<string | undefined>()
  /** Answered instead; null as it should be. */
  status: number | null = null

  private constructor(bucket: string) {
    this.#bucket = bucket
  }

  static async open(bucket: string): Promise<FakeGoogleStorage> {
    const fake = new FakeGoogleStorage(bucket)
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve))
    return fake
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.tokens.add(request.headers.authorization)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const url = new URL(request.url ?? '/', this.endpoint)
    const objects = `/storage/v1/b/${this.#bucket}/o`
    const json = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    if (this.status !== null) return void json(this.status, { error: { message: 'as told' } })
    if (request.method === 'POST' && url.pathname === `/upload${objects}`) {
      const { bytes, facts } = partsOf(request.headers['content-type'] ?? '', Buffer.concat(chunks))
      const acl = url.searchParams.get('predefinedAcl')
      this.files.set(String(facts.name), { bytes, facts, acl, updated: new Date().toISOString() })
      return void json(200, { name: facts.name })
    }
    if (url.pathname === objects) return void json(200, this.#list(url.searchParams))
    const name = url.pathname.startsWith(`${objects}/`)
      ? decodeURIComponent(url.pathname.slice(objects.length + 1))
      : ''
    const file = this.files.get(name)
    if (!file) return void json(404, { error: { message: 'Not Found' } })
    if (request.method === 'DELETE') {
      this.files.delete(name)
      response.writeHead(204).end()
    } else response.writeHead(200).end(file.bytes)
  }

  #list(query: URLSearchParams): unknown {
    const [prefix, delimiter] = [query.get('prefix') ?? '', query.get('delimiter')]
    const items: unknown[] = []
    const prefixes = new Set<string>()
    let isMore = false
    for (const [name, { bytes, updated }] of [...this.files].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (!name.startsWith(prefix) || name < (query.get('startOffset') ?? '')) continue
      const slash = delimiter ? name.indexOf(delimiter, prefix.length) : -1
      const shown = slash < 0 ? name : name.slice(0, slash + 1)
      if (prefixes.has(shown)) continue
      if (items.length + prefixes.size === Number(query.get('maxResults'))) {
        isMore = true
        break
      }
      if (slash < 0) items.push({ name, size: String(bytes.length), updated })
      else prefixes.add(shown)
    }
    return { items, prefixes: [...prefixes], ...(isMore && { nextPageToken: 'more' }) }
  }
}

/** The two parts of a multipart/related body: JSON, and the file. */
function partsOf(type: string, body: Buffer): { facts: Record<string, unknown>; bytes: Buffer } {
  const boundary = `--${/boundary=(.*)$/.exec(type)?.[1]}`
  const second = body.indexOf(boundary, boundary.length)
  const first = body.subarray(boundary.length, second)
  const facts = JSON.parse(first.subarray(first.indexOf('\r\n\r\n') + 4).toString()) as Record<
    string,
    unknown
  >
  const rest = body.subarray(second)
  return { facts, bytes: rest.subarray(rest.indexOf('\r\n\r\n') + 4, rest.lastIndexOf(`\r\n${boundary}`)) }
}

import { randomUUID } from 'node:crypto'
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { S3Info, StorageInfo } from '../../domain/segment.ts'
import { encodePath } from '../../domain/stream-name.ts'
import { abortError, messageOf } from '../../lib/errors.ts'
import { allowedAddresses, type HostRule, portOfUrl } from '../../lib/host-rule.ts'
import { isObjectPath, StoreError } from '../../lib/object-store.ts'
import { checkHost, lookupWhere, type Resolve } from '../../lib/public-address.ts'
import type { UploadForms } from '../../services/orchestrator/result-uploads.ts'
import { contentTypeOf } from './content-type.ts'

/** Of a store's answer, which is not read. */
const MAX_ANSWER_BYTES = 64 * 1024
/** Of the key that a form names, with slashes. */
const MAX_KEY = 512

/**
 * Uploads results by the signed forms that gateways hand out (wire.md §12): to addresses that the rule allows, checked after
 * resolving names, without following redirects. A form's credentials are in no message.
 */
export class FormUploads implements UploadForms {
  readonly #rule: HostRule
  readonly #names: { readonly resolve?: Resolve; readonly isPublic?: (ip: string) => boolean }

  constructor(
    rule: HostRule,
    names: { readonly resolve?: Resolve; readonly isPublic?: (ip: string) => boolean } = {},
  ) {
    this.#rule = rule
    this.#names = names
  }

  async upload(
    { kind, s3 }: StorageInfo,
    path: string,
    bytes: Uint8Array,
    { limitMs, signal }: { readonly limitMs: number; readonly signal: AbortSignal },
  ): Promise<string> {
    const url = s3 && URL.parse(s3.host)
    const port = url && portOfUrl(url)
    if (!s3 || !url || !port || url.username !== '' || url.password !== '' || url.search !== '')
      throw new StoreError('store-refused', 'the store is not at an http(s) URL')
    if (!isObjectPath(path) || s3.key.length > MAX_KEY || /[\r\n"]/.test(s3.key))
      throw new StoreError('bad-path', 'the store has no place for the file')
    const over = AbortSignal.any([signal, AbortSignal.timeout(Math.ceil(limitMs))])
    const allows = allowedAddresses(url, port, this.#rule, this.#names.isPublic)
    const form = formOf(kind, s3, path, bytes)
    try {
      checkHost(url.hostname, allows)
      await post(url, form, { lookup: lookupWhere(allows, this.#names.resolve), signal: over })
    } catch (error) {
      if (signal.aborted) throw abortError(signal)
      if (over.aborted) {
        throw new StoreError(
          'store-unreachable',
          `${url.host} did not take a file within ${Math.ceil(limitMs)} ms`,
        )
      }
      throw error
    }
    return `${s3.host.replace(/\/+$/, '')}/${encodePath(`${s3.key}/${path}`)}`
  }
}

interface Form {
  readonly boundary: string
  readonly pieces: readonly Uint8Array[]
}

/** The form's fields, and the file as the last one, as S3 demands. */
function formOf(kind: StorageInfo['kind'], s3: S3Info, path: string, bytes: Uint8Array): Form {
  const boundary = randomUUID()
  const signed: readonly (readonly [string, string])[] =
    kind === 'google'
      ? [
          ['GoogleAccessId', s3.credential],
          ['signature', s3.signature],
        ]
      : [
          ['x-amz-algorithm', 'AWS4-HMAC-SHA256'],
          ['x-amz-credential', s3.credential],
          ['x-amz-date', s3.xAmzDate],
          ['x-amz-signature', s3.signature],
        ]
  const fields: readonly (readonly [string, string])[] = [
    ['acl', 'public-read'],
    ['Content-Type', contentTypeOf(path)],
    ['key', `${s3.key}/${path}`],
    ['policy', s3.policy],
    ...signed,
  ]
  const lines = fields.map(
    ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  )
  const file = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\nContent-Type: application/octet-stream\r\n\r\n`
  const end = `\r\n--${boundary}--\r\n`
  return { boundary, pieces: [Buffer.from(lines.join('') + file), bytes, Buffer.from(end)] }
}

async function post(
  url: URL,
  { boundary, pieces }: Form,
  options: { readonly lookup: ReturnType<typeof lookupWhere>; readonly signal: AbortSignal },
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  const request: ClientRequest = send(url, {
    ...options,
    method: 'POST',
    agent: false,
    headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': String(pieces.reduce((sum, piece) => sum + piece.length, 0)),
      connection: 'close',
    },
  })
  request.on('response', resolve)
  request.on('error', (error) =>
    reject(
      new StoreError('store-unreachable', `cannot save at ${url.host}: ${messageOf(error)}`, {
        cause: error,
      }),
    ),
  )
  for (const piece of pieces) request.write(piece)
  request.end()
  const response = await promise
  try {
    await drained(response)
    const { statusCode = 0 } = response
    if (statusCode >= 200 && statusCode < 300) return
    throw new StoreError(
      statusCode >= 500 ? 'store-unreachable' : 'store-refused',
      `${url.host} answers ${statusCode}`,
    )
  } finally {
    response.destroy()
  }
}

/** A store answers at the end of a file, or in the midst of one that it refuses. */
async function drained(response: IncomingMessage): Promise<void> {
  let length = 0
  for await (const chunk of response) {
    length += (chunk as Uint8Array).length
    if (length > MAX_ANSWER_BYTES) return
  }
}

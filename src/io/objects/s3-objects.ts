import { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import type { StorageInfo } from '../../domain/segment.ts'
import { encodePath } from '../../domain/stream-name.ts'
import type { Clock } from '../../lib/clock.ts'
import { abortError } from '../../lib/errors.ts'
import {
  checkObjectPath,
  isObjectPath,
  type Listing,
  type ListOptions,
  type LoadOptions,
  MAX_LISTED,
  MAX_OBJECT_BYTES,
  type SaveOptions,
  StoreError,
} from '../../lib/object-store.ts'
import type { GrantLimits, OutsideStore } from '../../services/gateway/outside-store.ts'
import { type BucketOptions, behind, readBounded } from './bucket.ts'
import { contentTypeOf } from './content-type.ts'
import { removeAll } from './remove-all.ts'
import { bucketUrl, type S3Place, uploadPolicy } from './s3-policy.ts'

/** Time limit of one request, and of its connection. */
const REQUEST_MS = 10_000
const CONNECT_MS = 2_000
/** Connections of one store. */
const MAX_SOCKETS = 64
/** Of the answer to anything but a load: the library reads it whole. */
const MAX_ANSWER_BYTES = 16_000_000

interface Opened {
  readonly sdk: typeof import('./s3-library.ts')
  readonly client: S3Client
}

/** A bucket of S3, or of a service that speaks its protocol. */
export class S3Objects implements OutsideStore {
  readonly shown: string
  readonly #place: S3Place
  readonly #base: string
  readonly #isPublic: boolean
  readonly #clock: Clock
  #opened: Promise<Opened> | null = null

  constructor(place: S3Place, { isPublic, shown }: BucketOptions, { clock }: { readonly clock: Clock }) {
    this.shown = shown
    this.#place = place
    this.#base = `${bucketUrl(place)}/${encodePath(place.prefix)}`
    this.#isPublic = isPublic
    this.#clock = clock
  }

  async save(path: string, bytes: Uint8Array, { durationMs, signal }: SaveOptions = {}): Promise<string> {
    checkObjectPath(path)
    await this.#ask(signal, ({ client, sdk }, abortSignal) =>
      client.send(
        new sdk.PutObjectCommand({
          ...this.#file(path),
          Body: bytes,
          ContentLength: bytes.length,
          ContentType: contentTypeOf(path),
          ...(this.#isPublic && this.#place.setsAcl && { ACL: 'public-read' as const }),
          ...(durationMs !== undefined && { Metadata: { duration: String(Math.trunc(durationMs)) } }),
        }),
        { abortSignal },
      ),
    )
    return this.urlOf(path)
  }

  async load(
    path: string,
    { maxBytes = MAX_OBJECT_BYTES, signal }: LoadOptions = {},
  ): Promise<Uint8Array | null> {
    if (!isObjectPath(path)) return null
    return await this.#ask(signal, async ({ client, sdk }, abortSignal) => {
      try {
        const { Body } = await client.send(new sdk.GetObjectCommand(this.#file(path)), { abortSignal })
        return Body ? await readBounded(Body as AsyncIterable<Uint8Array>, maxBytes) : new Uint8Array()
      } catch (error) {
        if (error instanceof sdk.NoSuchKey) return null
        throw error
      }
    })
  }

  async list(prefix: string, options: ListOptions = {}): Promise<Listing> {
    const { after = '', limit = MAX_LISTED, shallow = false, signal } = options
    const { bucket, prefix: root } = this.#place
    const found = await this.#ask(signal, ({ client, sdk }, abortSignal) =>
      client.send(
        new sdk.ListObjectsV2Command({
          Bucket: bucket,
          Prefix: root + prefix,
          MaxKeys: Math.max(1, Math.min(limit, MAX_LISTED)),
          ...(shallow && { Delimiter: '/' }),
          ...(after !== '' && { StartAfter: root + behind(after) }),
        }),
        { abortSignal },
      ),
    )
    const files = (found.Contents ?? []).flatMap(({ Key, LastModified, Size }) =>
      Key?.startsWith(root) && !Key.endsWith('/')
        ? [{ path: Key.slice(root.length), bytes: Size ?? 0, savedMs: LastModified?.getTime() ?? 0 }]
        : [],
    )
    const folders = (found.CommonPrefixes ?? []).flatMap(({ Prefix }) =>
      Prefix?.startsWith(root) ? [Prefix.slice(root.length)] : [],
    )
    const [last = ''] = [files.at(-1)?.path ?? '', folders.at(-1) ?? ''].toSorted().toReversed()
    // A server that goes no further has no more.
    return { files, folders, next: found.IsTruncated && last !== '' && last !== after ? last : null }
  }

  async remove(path: string): Promise<void> {
    if (!isObjectPath(path)) return
    await this.#ask(undefined, ({ client, sdk }, abortSignal) =>
      client.send(new sdk.DeleteObjectCommand(this.#file(path)), { abortSignal }),
    )
  }

  async prepare(): Promise<void> {
    await this.#open()
  }

  drop(prefix: string): Promise<void> {
    return removeAll(this, prefix)
  }

  urlOf(path: string): string {
    return this.#base + encodePath(path)
  }

  grant(below: string, { maxBytes, validMs }: GrantLimits): StorageInfo | null {
    const { prefix, sessionToken, setsAcl } = this.#place
    // The form of peers has no place for a session's token, and makes every file readable.
    if (sessionToken !== null || !setsAcl || !isObjectPath(below)) return null
    const key = prefix + below
    const s3 = uploadPolicy(this.#place, { key, maxBytes, validMs, nowMs: this.#clock.now() })
    return { kind: 's3', s3 }
  }

  #file(path: string): { Bucket: string; Key: string } {
    return { Bucket: this.#place.bucket, Key: this.#place.prefix + path }
  }

  #open(): Promise<Opened> {
    this.#opened ??= open(this.#place)
    return this.#opened
  }

  async #ask<T>(
    signal: AbortSignal | undefined,
    work: (opened: Opened, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (signal?.aborted) throw abortError(signal)
    const limit = AbortSignal.timeout(REQUEST_MS)
    const either = signal ? AbortSignal.any([signal, limit]) : limit
    try {
      return await work(await this.#open(), either)
    } catch (error) {
      if (signal?.aborted) throw abortError(signal)
      if (error instanceof StoreError) throw error
      throw failureOf(error, this.shown, limit.aborted)
    }
  }
}

/** The library is loaded only where such a store is used. */
async function open(place: S3Place): Promise<Opened> {
  const sdk = await import('./s3-library.ts')
  const { accessKey, endpoint, isPathStyle, region, secretKey, sessionToken } = place
  const agent = { keepAlive: true, maxSockets: MAX_SOCKETS }
  const client = new sdk.S3Client({
    region,
    forcePathStyle: isPathStyle,
    ...(endpoint !== null && { endpoint }),
    credentials: {
      accessKeyId: accessKey,
      secretAccessKey: secretKey,
      ...(sessionToken !== null && { sessionToken }),
    },
    // Whoever saves decides on further tries, and on how long.
    ...{ maxAttempts: 1, retryMode: 'standard', defaultsMode: 'standard' },
    requestHandler: { connectionTimeout: CONNECT_MS, httpAgent: agent, httpsAgent: agent },
    // Many services that speak the protocol know no newer checksums, and do not wait for 100-continue.
    ...{ requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' },
    expectContinueHeader: false,
    ...{ useDualstackEndpoint: false, useFipsEndpoint: false, disableS3ExpressSessionAuth: true },
    logger: { debug: nothing, info: nothing, warn: nothing, error: nothing },
  })
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        const result = await next(args)
        // What is loaded has a limit of its own.
        if (commandName !== 'GetObjectCommand') boundBody(result.response as { body?: unknown })
        return result
      },
    // Inside of what reads the body.
    { step: 'deserialize', priority: 'low', name: 'boundBody' },
  )
  return { sdk, client }
}

function boundBody(response: { body?: unknown }): void {
  if (response.body instanceof Readable) response.body = Readable.from(bounded(response.body))
}

async function* bounded(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let length = 0
  for await (const chunk of body) {
    length += chunk.length
    if (length > MAX_ANSWER_BYTES) throw Object.assign(new Error(), { name: 'AnswerTooLarge' })
    yield chunk
  }
}

function nothing(): void {}

/** Statuses after which another try may succeed. */
function isPassing(status: number): boolean {
  // A good answer that cannot be read is that of something in between.
  return status >= 500 || status < 300 || status === 408 || status === 429
}

/** What the library says may hold keys: only names and codes are kept. */
function failureOf(error: unknown, shown: string, isLate: boolean): StoreError {
  if (isLate) return new StoreError('store-unreachable', `${shown} did not answer within ${REQUEST_MS} ms`)
  const { $metadata, code, name } = error as {
    $metadata?: { httpStatusCode?: number }
    code?: unknown
    name?: unknown
  }
  const status = $metadata?.httpStatusCode ?? 0
  const word =
    [code, name].find((one) => typeof one === 'string' && /^[A-Za-z0-9_.]{1,64}$/.test(one)) ?? 'error'
  if (status === 0) return new StoreError('store-unreachable', `${shown} cannot be reached: ${word}`)
  const what = `${shown} answers ${status}: ${word}`
  return new StoreError(isPassing(status) ? 'store-unreachable' : 'store-refused', what)
}

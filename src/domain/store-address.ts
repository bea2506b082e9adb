import { NodeError } from '../lib/errors.ts'

/** Why a text does not name a store; the message is the rest of a sentence. */
export type StoreAddressFault = 'bad-store-address'

/** Where a store is, and what opens it. */
export type StorePlace =
  | { readonly kind: 'folder'; readonly folder: string }
  | {
      readonly kind: 's3'
      /** Where the service is, without a slash at the end; null for Amazon's own. */
      readonly endpoint: string | null
      readonly region: string
      readonly bucket: string
      /** Whether the bucket is a part of the path, rather than of the host. */
      readonly isPathStyle: boolean
      /** What the paths in it begin with: empty, or ending with a slash. */
      readonly prefix: string
      readonly accessKey: string
      readonly secretKey: string
      /** Null for keys that do not expire. */
      readonly sessionToken: string | null
      /** Whether each file is made readable for everybody; false where the bucket's own rules decide. */
      readonly setsAcl: boolean
    }
  | {
      readonly kind: 'google'
      readonly endpoint: string
      readonly bucket: string
      readonly prefix: string
      /** The key of a service account, as a file or as JSON; null for the credentials that the machine has. */
      readonly key: string | null
      readonly setsAcl: boolean
    }

/**
 * The address of a store. Its keys are in no JSON, no log and no `util.inspect`: only `shown` is.
 */
export class StoreAddress {
  /** The address for people: scheme, host and bucket. */
  readonly shown: string
  readonly #place: StorePlace

  constructor(shown: string, place: StorePlace) {
    this.shown = shown
    this.#place = place
  }

  /** With its keys. */
  get place(): StorePlace {
    return this.#place
  }

  /** Whether two addresses mean the same store with the same keys. */
  equals(other: StoreAddress): boolean {
    return JSON.stringify(this.#place) === JSON.stringify(other.#place)
  }
}

const S3 = 's3://KEY:SECRET@REGION/BUCKET'
const OTHER_S3 = 's3+https://KEY:SECRET@HOST/BUCKET'
const GOOGLE = 'gs://BUCKET?keyfile=FILE'
/** Amazon's own region where none has to be known. */
const DEFAULT_REGION = 'us-east-1'
const GOOGLE_ENDPOINT = 'https://storage.googleapis.com'

/**
 * Reads the address of a store (gateway.md §6): a folder, or the URL of a bucket; what follows the bucket is put before
 * the paths in it, as a folder. Secrets are percent-encoded. Throws NodeError `bad-store-address`, whose message holds
 * no part of the address but its scheme.
 */
export function parseStoreAddress(text: string): StoreAddress {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1]?.toLowerCase() ?? null
  if (scheme === null) return folderAt(text)
  if (scheme === 'ipfs' || scheme === 'w3s') {
    throw bad(
      `names IPFS (${scheme}://), which is not supported: give the S3 interface that your pinning service offers, as in ${OTHER_S3}`,
    )
  }
  if (!['file', 'gs', 's3', 's3+http', 's3+https'].includes(scheme)) {
    throw bad(`begins with ${scheme}://, which is no store: give a folder, ${S3}, ${OTHER_S3} or ${GOOGLE}`)
  }
  // Of the schemes that it knows, URL would move a default port or a folder.
  const url = URL.parse(`store${text.slice(scheme.length)}`)
  if (!url) {
    throw bad(`is not a URL: in a key write / as %2F, @ as %40, # as %23 and ? as %3F`)
  }
  if (scheme === 'file') return folderAt(decoded(url.pathname))
  return scheme === 'gs' ? googleAt(url) : s3At(scheme, url)
}

/** A bucket of Google with its key: a file, or JSON. Throws NodeError `bad-store-address`. */
export function googleBucket(bucket: string, key: string): StoreAddress {
  if (!isBucket(bucket)) throw bad('is no name of a bucket')
  const place = {
    bucket,
    prefix: '',
    key: key === '' ? null : key,
    endpoint: GOOGLE_ENDPOINT,
    setsAcl: false,
  }
  return new StoreAddress(`gs://${bucket}`, { kind: 'google', ...place })
}

function folderAt(text: string): StoreAddress {
  if (text.trim() === '' || text.includes('\0')) throw bad('names no folder')
  return new StoreAddress(text, { kind: 'folder', folder: text })
}

function s3At(scheme: string, url: URL): StoreAddress {
  const isAmazon = scheme === 's3'
  const options = optionsOf(url, ['region', 'style', 'sessionToken', 'acl'])
  const form = isAmazon ? S3 : OTHER_S3
  const [accessKey, secretKey] = [decoded(url.username), decoded(url.password)]
  if (accessKey === '' || secretKey === '') throw bad(`has no key: give ${form}`)
  const [bucket, prefix] = bucketOf(url.pathname, form)
  if (url.host === '') throw bad(`has no ${isAmazon ? 'region' : 'host'}: give ${form}`)
  const region = (options.get('region') ?? '') || (isAmazon ? url.hostname : DEFAULT_REGION)
  if (!/^[A-Za-z0-9-]{1,64}$/.test(region)) throw bad(`has no region: give ${form}`)
  const style = options.get('style') ?? (isAmazon && !bucket.includes('.') ? 'virtual' : 'path')
  if (style !== 'virtual' && style !== 'path') throw bad('has a style other than path and virtual')
  const transport = scheme === 's3+http' ? 'http' : 'https'
  return new StoreAddress(`${scheme}://${url.host}/${bucket}`, {
    ...{ kind: 's3', region, bucket, prefix, accessKey, secretKey },
    endpoint: isAmazon ? null : `${transport}://${url.host}`,
    isPathStyle: style === 'path',
    sessionToken: options.get('sessionToken') || null,
    setsAcl: aclOf(options),
  })
}

function googleAt(url: URL): StoreAddress {
  const options = optionsOf(url, ['keyfile', 'acl', 'endpoint'])
  const bucket = url.hostname
  if (!isBucket(bucket)) throw bad(`names no bucket: give ${GOOGLE}`)
  const endpoint = (options.get('endpoint') ?? GOOGLE_ENDPOINT).replace(/\/+$/, '')
  if (!/^https?:\/\/[^/?#@]+$/.test(endpoint)) throw bad('has an endpoint that is not http(s)://HOST')
  return new StoreAddress(`gs://${bucket}`, {
    ...{ kind: 'google', endpoint, bucket, prefix: prefixOf(url.pathname) },
    key: options.get('keyfile') || null,
    setsAcl: aclOf(options),
  })
}

function bucketOf(pathname: string, form: string): readonly [bucket: string, prefix: string] {
  const [, bucket = '', ...rest] = pathname.split('/')
  if (!isBucket(bucket)) throw bad(`names no bucket: give ${form}`)
  return [bucket, prefixOf(`/${rest.join('/')}`)]
}

function isBucket(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{1,221}$/.test(text)
}

function prefixOf(pathname: string): string {
  const elements = decoded(pathname).split('/')
  const kept = elements.filter((element) => element !== '')
  if (kept.some((element) => element === '.' || element === '..')) throw bad('has . or .. in its path')
  return kept.map((element) => `${element}/`).join('')
}

/** The options of a query. One that is not known may be a spelling mistake. */
function optionsOf(url: URL, known: readonly string[]): ReadonlyMap<string, string> {
  const options = new Map(url.searchParams)
  for (const name of options.keys()) {
    if (!known.includes(name)) throw bad(`has an option that there is not; there are ${known.join(', ')}`)
  }
  return options
}

function aclOf(options: ReadonlyMap<string, string>): boolean {
  const acl = options.get('acl') ?? 'public-read'
  if (acl !== 'public-read' && acl !== 'none') throw bad('has an acl other than public-read and none')
  return acl === 'public-read'
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw bad('has a % that begins no percent-encoding: write it as %25')
  }
}

function bad(reason: string): NodeError<StoreAddressFault> {
  return new NodeError<StoreAddressFault>('bad-store-address', reason)
}

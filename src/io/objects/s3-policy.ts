import { createHmac } from 'node:crypto'
import type { S3Info } from '../../domain/segment.ts'
import type { StorePlace } from '../../domain/store-address.ts'

/** A bucket with its keys. */
export type S3Place = StorePlace & { readonly kind: 's3' }

/** What an upload form allows. */
export interface PolicyTerms {
  /** The files lie below this key, which ends without a slash. */
  readonly key: string
  readonly nowMs: number
  readonly validMs: number
  readonly maxBytes: number
}

/**
 * A signed form by which another node uploads files below a key, each readable for everybody (wire.md §12): to this bucket,
 * up to a size, for a while. Peers add a slash, a folder and a name to the key.
 */
export function uploadPolicy(place: S3Place, { key, maxBytes, nowMs, validMs }: PolicyTerms): S3Info {
  const day = new Date(nowMs).toISOString().slice(0, 10).replaceAll('-', '')
  const xAmzDate = `${day}T000000Z`
  const credential = `${place.accessKey}/${day}/${place.region}/s3/aws4_request`
  const text = JSON.stringify({
    expiration: new Date(nowMs + validMs).toISOString(),
    conditions: [
      { bucket: place.bucket },
      { acl: 'public-read' },
      ['starts-with', '$Content-Type', ''],
      ['starts-with', '$key', `${key}/`],
      ['content-length-range', 0, maxBytes],
      { 'x-amz-algorithm': 'AWS4-HMAC-SHA256' },
      { 'x-amz-credential': credential },
      { 'x-amz-date': xAmzDate },
    ],
  })
  const policy = Buffer.from(text).toString('base64')
  const signature = signPolicy(policy, { secretKey: place.secretKey, day, region: place.region })
  return { host: bucketUrl(place), key, policy, signature, credential, xAmzDate }
}

/** The signature of a policy in base64, by AWS's signature version 4; `day` as in 20151229. */
export function signPolicy(
  policy: string,
  { day, region, secretKey }: { readonly secretKey: string; readonly day: string; readonly region: string },
): string {
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
  const scope = [day, region, 's3', 'aws4_request']
  const key = scope.reduce<string | Buffer>((before, part) => hmac(before, part), `AWS4${secretKey}`)
  return hmac(key, policy).toString('hex')
}

/** Where a bucket is, without a slash at the end. */
export function bucketUrl({ bucket, endpoint, isPathStyle, region }: S3Place): string {
  const base = new URL(endpoint ?? `https://s3.${region}.amazonaws.com`)
  return isPathStyle ? `${base.origin}/${bucket}` : `${base.protocol}//${bucket}.${base.host}`
}

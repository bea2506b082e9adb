import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseStoreAddress } from '../../domain/store-address.ts'
import { bucketUrl, type S3Place, signPolicy, uploadPolicy } from './s3-policy.ts'

const at = (text: string) => parseStoreAddress(text).place as S3Place
const policyOf = (text: string) =>
  JSON.parse(Buffer.from(text, 'base64').toString()) as Record<string, unknown>

/** The example in Amazon's documents of signed forms. */
const EXAMPLE = [
  '{ "expiration": "2015-12-30T12:00:00.000Z",',
  '  "conditions": [',
  '    {"bucket": "sigv4examplebucket"},',
  '    ["starts-with", "$key", "user/user1/"],',
  '    {"acl": "public-read"},',
  '    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},',
  '    ["starts-with", "$Content-Type", "image/"],',
  '    {"x-amz-meta-uuid": "14365123651274"},',
  '    {"x-amz-server-side-encryption": "AES256"},',
  '    ["starts-with", "$x-amz-meta-tag", ""],',
  '',
  '    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},',
  '    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},',
  '    {"x-amz-date": "20151229T000000Z" }',
  '  ]',
  '}',
].join('\r\n')

test('a policy is signed as in Amazon’s documents', () => {
  const keys = { day: '20151229', region: 'us-east-1', secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }
  assert.equal(
    signPolicy(Buffer.from(EXAMPLE).toString('base64'), keys),
    '8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e',
  )
})

test('a form lets another node save below its key alone, up to a size, for a while, and holds no secret', () => {
  const place = at('s3+http://KEY:sEcReT@127.0.0.1:9001/osbucket')
  const nowMs = Date.parse('2026-11-29T09:02:16.475Z')
  const form = uploadPolicy(place, { key: 'os1/59e8cfac', nowMs, validMs: 1_800_000, maxBytes: 5_000 })
  assert.deepEqual(
    { ...form, policy: policyOf(form.policy), signature: form.signature.length },
    {
      host: 'http://127.0.0.1:9001/osbucket',
      key: 'os1/59e8cfac',
      credential: 'KEY/20261129/us-east-1/s3/aws4_request',
      xAmzDate: '20261129T000000Z',
      signature: 64,
      policy: {
        expiration: '2026-11-29T09:32:16.475Z',
        conditions: [
          { bucket: 'osbucket' },
          { acl: 'public-read' },
          ['starts-with', '$Content-Type', ''],
          ['starts-with', '$key', 'os1/59e8cfac/'],
          ['content-length-range', 0, 5_000],
          { 'x-amz-algorithm': 'AWS4-HMAC-SHA256' },
          { 'x-amz-credential': 'KEY/20261129/us-east-1/s3/aws4_request' },
          { 'x-amz-date': '20261129T000000Z' },
        ],
      },
    },
  )
  assert.doesNotMatch(JSON.stringify([form, policyOf(form.policy)]), /sEcReT/)
})

for (const [text, url] of [
  ['s3://K:S@eu-west-1/bucket', 'https://bucket.s3.eu-west-1.amazonaws.com'],
  ['s3://K:S@eu-west-1/my.bucket', 'https://s3.eu-west-1.amazonaws.com/my.bucket'],
  ['s3://K:S@eu-west-1/bucket?style=path', 'https://s3.eu-west-1.amazonaws.com/bucket'],
  ['s3+https://K:S@s3.example/bucket/sub', 'https://s3.example/bucket'],
  ['s3+http://K:S@127.0.0.1:9000/bucket', 'http://127.0.0.1:9000/bucket'],
  ['s3+https://K:S@s3.example/bucket?style=virtual', 'https://bucket.s3.example'],
] as const) {
  test(`the bucket of ${text} is at ${url}`, () => assert.equal(bucketUrl(at(text)), url))
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { googleBucket, parseStoreAddress } from './store-address.ts'

const S3 = {
  ...{ kind: 's3', accessKey: 'KEY', secretKey: 'SECRET', bucket: 'bucket', prefix: '' },
  ...{ sessionToken: null, setsAcl: true },
}
const AMAZON = { ...S3, endpoint: null, region: 'eu-west-1', isPathStyle: false }
const OTHER = { ...S3, endpoint: 'https://s3.example', region: 'us-east-1', isPathStyle: true }
const GOOGLE = {
  ...{ kind: 'google', endpoint: 'https://storage.googleapis.com', bucket: 'bucket', prefix: '' },
  ...{ key: null, setsAcl: true },
}

const PLACES: readonly (readonly [text: string, place: object, shown: string])[] = [
  ['/data/segments', { kind: 'folder', folder: '/data/segments' }, '/data/segments'],
  ['segments', { kind: 'folder', folder: 'segments' }, 'segments'],
  ['file:///data/my%20segments', { kind: 'folder', folder: '/data/my segments' }, '/data/my segments'],
  ['s3://KEY:SECRET@eu-west-1/bucket', AMAZON, 's3://eu-west-1/bucket'],
  ['S3://KEY:SECRET@eu-west-1/bucket/', AMAZON, 's3://eu-west-1/bucket'],
  ['s3://KEY:S%2FC%2B%40@eu-west-1/bucket', { ...AMAZON, secretKey: 'S/C+@' }, 's3://eu-west-1/bucket'],
  ['s3://KEY:SE+CRET=@eu-west-1/bucket', { ...AMAZON, secretKey: 'SE+CRET=' }, 's3://eu-west-1/bucket'],
  [
    's3://KEY:SECRET@eu-west-1/my.bucket',
    { ...AMAZON, bucket: 'my.bucket', isPathStyle: true },
    's3://eu-west-1/my.bucket',
  ],
  ['s3://KEY:SECRET@eu-west-1/bucket?style=path', { ...AMAZON, isPathStyle: true }, 's3://eu-west-1/bucket'],
  [
    's3://KEY:SECRET@eu-west-1/bucket?sessionToken=a%2Fb%3D',
    { ...AMAZON, sessionToken: 'a/b=' },
    's3://eu-west-1/bucket',
  ],
  ['s3://KEY:SECRET@eu-west-1/bucket?acl=none', { ...AMAZON, setsAcl: false }, 's3://eu-west-1/bucket'],
  // A path is a folder, whether or not it ends with a slash.
  ['s3://KEY:SECRET@eu-west-1/bucket/a/b', { ...AMAZON, prefix: 'a/b/' }, 's3://eu-west-1/bucket'],
  ['s3://KEY:SECRET@eu-west-1/bucket//a//', { ...AMAZON, prefix: 'a/' }, 's3://eu-west-1/bucket'],
  ['s3+https://KEY:SECRET@s3.example/bucket', OTHER, 's3+https://s3.example/bucket'],
  [
    's3+http://KEY:SECRET@127.0.0.1:9000/bucket/sub',
    { ...OTHER, endpoint: 'http://127.0.0.1:9000', prefix: 'sub/' },
    's3+http://127.0.0.1:9000/bucket',
  ],
  [
    's3+https://KEY:SECRET@s3.example:443/bucket?region=auto&style=virtual',
    { ...OTHER, endpoint: 'https://s3.example:443', region: 'auto', isPathStyle: false },
    's3+https://s3.example:443/bucket',
  ],
  ['gs://bucket', GOOGLE, 'gs://bucket'],
  ['gs://bucket/a?keyfile=/etc/k.json', { ...GOOGLE, prefix: 'a/', key: '/etc/k.json' }, 'gs://bucket'],
  [
    'gs://bucket?keyfile=k.json&acl=none&endpoint=http://127.0.0.1:4443/',
    { ...GOOGLE, key: 'k.json', setsAcl: false, endpoint: 'http://127.0.0.1:4443' },
    'gs://bucket',
  ],
]

for (const [text, place, shown] of PLACES) {
  test(`${text} is a store`, () => {
    const address = parseStoreAddress(text)
    assert.deepEqual(address.place, place)
    assert.equal(address.shown, shown)
  })
}

const FORM = 's3://KEY:SECRET@REGION/BUCKET'
const OTHER_FORM = 's3+https://KEY:SECRET@HOST/BUCKET'
const REFUSED: readonly (readonly [text: string, says: string])[] = [
  ['', 'names no folder'],
  ['  ', 'names no folder'],
  [
    'ftp://KEY:SECRET@host/x',
    `begins with ftp://, which is no store: give a folder, ${FORM}, ${OTHER_FORM} or gs://BUCKET?keyfile=FILE`,
  ],
  [
    'ipfs://KEY:SECRET@pinata.cloud',
    `names IPFS (ipfs://), which is not supported: give the S3 interface that your pinning service offers, as in ${OTHER_FORM}`,
  ],
  [
    'w3s://proof@dir',
    `names IPFS (w3s://), which is not supported: give the S3 interface that your pinning service offers, as in ${OTHER_FORM}`,
  ],
  ['s3://eu-west-1/bucket', `has no key: give ${FORM}`],
  ['s3://KEY@eu-west-1/bucket', `has no key: give ${FORM}`],
  ['s3+http://KEY:@host/bucket', `has no key: give ${OTHER_FORM}`],
  ['s3://KEY:SECRET@eu-west-1', `names no bucket: give ${FORM}`],
  ['s3+https://KEY:SECRET@host/', `names no bucket: give ${OTHER_FORM}`],
  [
    's3://KEY:SE/CRET@eu-west-1/bucket',
    'is not a URL: in a key write / as %2F, @ as %40, # as %23 and ? as %3F',
  ],
  ['s3://KEY:SECRET%@eu-west-1/bucket', 'has a % that begins no percent-encoding: write it as %25'],
  ['s3://KEY:SECRET@eu_west_1/bucket', `has no region: give ${FORM}`],
  ['s3://KEY:SECRET@eu-west-1/bucket?style=host', 'has a style other than path and virtual'],
  ['s3://KEY:SECRET@eu-west-1/bucket?acl=private', 'has an acl other than public-read and none'],
  [
    's3://KEY:SECRET@eu-west-1/bucket?sesionToken=x',
    'has an option that there is not; there are region, style, sessionToken, acl',
  ],
  ['s3://KEY:SECRET@eu-west-1/bucket/%2E%2E%2Fx', 'has . or .. in its path'],
  ['gs://?keyfile=k', 'names no bucket: give gs://BUCKET?keyfile=FILE'],
  ['gs://bucket?endpoint=ftp://x', 'has an endpoint that is not http(s)://HOST'],
]

for (const [text, says] of REFUSED) {
  test(`${text || 'nothing'} is refused with what to give, without its keys`, () => {
    assert.throws(() => parseStoreAddress(text), { code: 'bad-store-address', message: says })
  })
}

test('the keys of a store are shown by nothing that prints it', () => {
  for (const address of [
    parseStoreAddress('s3+https://sEcReTKeY:sEcReTWord@host/bucket?sessionToken=sEcReTToken'),
    googleBucket('bucket', '{"private_key":"sEcReT"}'),
  ]) {
    const printed = [
      JSON.stringify({ address }),
      inspect(address, { depth: 9, showHidden: true }),
      String(address),
    ]
    assert.doesNotMatch(printed.join(), /sEcReT/)
    assert.match(JSON.stringify(address.place), /sEcReT/)
  }
})

test('the bucket of failed segments has a key that is a file or JSON, or that of the machine', () => {
  assert.deepEqual(googleBucket('fails', 'k.json').place, {
    ...GOOGLE,
    ...{ bucket: 'fails', key: 'k.json', setsAcl: false },
  })
  assert.equal((googleBucket('fails', '').place as { key: unknown }).key, null)
  assert.throws(() => googleBucket('a/b', ''), { message: 'is no name of a bucket' })
})

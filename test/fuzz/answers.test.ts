import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { CLOCK_WRAP, onClock, ticksBetween, timeAt } from '../../src/domain/mpegts-clock.ts'
import { runsOf } from '../../src/domain/recording.ts'
import { isPathElement, readIndex } from '../../src/domain/recording-index.ts'
import { writeRecordingMaster, writeRecordingTrack } from '../../src/domain/recording-playlist.ts'
import { parseStoreAddress } from '../../src/domain/store-address.ts'
import { verdictOf } from '../../src/io/http/external-verifier.ts'
import { priceOf } from '../../src/io/http/gateway-webhook.ts'
import { orchestratorsIn } from '../../src/io/http/orchestrator-list.ts'
import { scoresIn } from '../../src/io/http/perf-stats.ts'
import { recordingGrantOf, storeAt, streamConfigOf, streamFieldsOf } from '../../src/io/http/stream-config.ts'
import { readGoogleListing } from '../../src/io/objects/google-listing.ts'
import { S3Objects } from '../../src/io/objects/s3-objects.ts'
import type { S3Place } from '../../src/io/objects/s3-policy.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { NodeError } from '../../src/lib/errors.ts'
import { StoreError } from '../../src/lib/object-store.ts'
import { Rational } from '../../src/lib/rational.ts'
import { mutate, mutation } from '../tools/byte-mutations.ts'
import { jsonMutation, mutateJson } from '../tools/json-mutations.ts'

/** Inputs over all readers; FUZZ_RUNS changes it. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 8_000)
/** Answers of a bucket, each of which is a request. */
const LISTINGS = Math.ceil(RUNS / 50)
/** A reason is for an operator or a peer, and never a page of what was answered. */
const MAX_REASON = 300

interface Reader {
  readonly name: string
  readonly sample: unknown
  /** Reads an answer as it comes, and checks what it gives back. */
  read(text: string): unknown
}

const isBounded = (text: string, most: number) => assert.ok(text.length <= most && !/[\r\n]/.test(text), text)

const READERS: readonly Reader[] = [
  {
    name: 'an index of a recording',
    sample: {
      duration_ms: 4000,
      tracks: [
        { name: 'source', bandwidth: 4000000, resolution: '160x120' },
        { name: 'low', bandwidth: 100000, resolution: '80x60' },
      ],
      segments: {
        source: [
          { uri: 'source/0.ts', duration_ms: 2000 },
          { seq_no: 1, uri: 'https://store/source/1.ts?x=y', duration_ms: 2000 },
        ],
        low: [{ uri: '/low/0.mp4', duration_ms: 2000 }],
      },
    },
    read: (text) => {
      const index = readIndex(text)
      for (const [track, segments] of index.segments) {
        assert.ok(isPathElement(track))
        for (const { durationMs, file, sequence } of segments) {
          assert.match(file, /^\d{1,19}\.(ts|mp4)$/)
          assert.ok(durationMs >= 0 && durationMs <= 300_000 && sequence >= 0n)
        }
      }
      const runs = runsOf('s', [
        { folder: 'a', startedNs: 1n, index },
        { folder: 'b', startedNs: 2n, index },
      ])
      const master = writeRecordingMaster(runs)
      assert.ok(master === null || master.split('\n').every((line) => /^[ -~]*$/.test(line)))
      for (const track of index.segments.keys()) {
        const playlist = writeRecordingTrack(track, runs, { publicUrl: null, session: 's' }) ?? ''
        for (const line of playlist.split('\n')) assert.match(line, /^(#EXT[ -~]*|[!-~]+\.(ts|mp4)|)$/)
      }
    },
  },
  {
    name: 'a webhook’s answer on a stream',
    sample: {
      ...{ manifestID: 'm', streamID: 's', sessionID: 'x', streamKey: 'k', presets: ['P144p30fps16x9'] },
      profiles: [{ name: 'a', width: 16, height: 16, bitrate: 100, fps: 30, fpsDen: 1, gop: '2.0' }],
      ...{ objectStore: 's3://K:S@eu-1/bucket', recordObjectStore: 's3+https://K:S@h/bucket/p?acl=none' },
      ...{ recordObjectStoreUrl: 'https://h/b', previousSessions: ['y'], verificationFreq: 2 },
      ...{ timeoutMultiplier: 4, forceSessionReinit: true },
    },
    read: (text) => {
      const fields = streamFieldsOf(JSON.parse(text))
      const { profiles, timeoutMultiplier } = streamConfigOf(fields)
      assert.ok(Number.isSafeInteger(timeoutMultiplier))
      for (const { name, width } of profiles ?? []) assert.ok(name !== '' && width >= 0)
      const { publicUrl } = recordingGrantOf(fields)
      if (publicUrl !== null) isBounded(publicUrl, Number.MAX_SAFE_INTEGER)
      if (fields.objectStore) storeAt('objectStore', fields.objectStore)
    },
  },
  {
    name: 'a webhook’s list of orchestrators',
    sample: [{ address: 'https://o1:8935', score: 1 }, { Address: 'o2:8935' }],
    read: (text) => {
      for (const { address, score } of orchestratorsIn(JSON.parse(text))) {
        assert.ok(typeof address === 'string' && typeof score === 'number')
      }
    },
  },
  {
    name: 'scores of orchestrators',
    sample: { '0xABc0000000000000000000000000000000000001': { MDW: { score: 0.9 }, FRA: { score: null } } },
    read: (text) => {
      for (const [address, score] of scoresIn(JSON.parse(text), 'MDW')) {
        assert.ok(address === address.toLowerCase() && Number.isFinite(score))
      }
    },
  },
  {
    name: 'a webhook’s price for a gateway',
    sample: { priceInfo: { pricePerUnit: 1000, pixelsPerUnit: 3 } },
    read: (text) => {
      const price = priceOf(text)
      if (price) assert.ok(price.cmp(Rational.of(0n)) >= 0)
    },
  },
  {
    name: 'a verifier’s answer',
    sample: {
      model: 'm',
      results: [
        { video_available: true, audio_available: true, audio_dist: 0, tamper: 0, ocsvm_dist: 0.5 },
        { video_available: true, tamper: -1 },
      ],
    },
    read: (text) => {
      const { fault, score } = verdictOf({ status: 200, body: text }, 2)
      assert.ok(Number.isFinite(score) && (fault === null || /^[a-z-]+$/.test(fault)))
    },
  },
  {
    name: 'a page of a listing of Google’s',
    sample: {
      items: [
        { name: 'root/a/0.ts', size: '100', updated: '2026-01-01T00:00:00Z' },
        { name: 'root/a/1.ts', size: '200' },
      ],
      prefixes: ['root/b/'],
      nextPageToken: 'x',
    },
    read: (text) => {
      const asked = { root: 'root/', after: 'a/0', most: 2 }
      const listing = readGoogleListing(new TextEncoder().encode(text), asked)
      if (!listing) throw new NodeError('none', 'no listing')
      const { files, folders, next } = listing
      assert.ok(new Set([...files.map(({ path }) => path), ...folders]).size <= 2)
      for (const { bytes, path, savedMs } of files) {
        assert.ok(path > 'a/0' && Number.isSafeInteger(bytes) && bytes >= 0 && Number.isFinite(savedMs))
      }
      // Listing on always gets further.
      assert.ok(next === null || next > 'a/0')
    },
  },
]

/** Reads or refuses; a refusal is this project's own error, or that of text that is no JSON. */
function check({ name, read }: Reader, text: string): 'accepted' | 'refused' {
  try {
    read(text)
    return 'accepted'
  } catch (error) {
    if (error instanceof SyntaxError) return 'refused'
    assert.ok(error instanceof NodeError, `${name} threw ${String(error)} for ${text.slice(0, 500)}`)
    assert.ok(error.message.length < MAX_REASON, `${name} says too much: ${error.message}`)
    return 'refused'
  }
}

const share = Math.ceil(RUNS / READERS.length / 2)

for (const reader of READERS) {
  test(`${reader.name}: values and bytes that are not as they should be are read or refused, nothing else`, () => {
    const seen = { accepted: 0, refused: 0 }
    assert.equal(check(reader, JSON.stringify(reader.sample)), 'accepted')
    const values = fc.array(jsonMutation, { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(values, (mutations) => {
        seen[check(reader, JSON.stringify(mutations.reduce(mutateJson, reader.sample)))]++
      }),
      { numRuns: share, endOnFailure: true },
    )
    assert.ok(seen.accepted > share / 50 && seen.refused > share / 50, JSON.stringify(seen))
    const written = new TextEncoder().encode(JSON.stringify(reader.sample))
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (mutations) => {
        check(reader, Buffer.from(mutations.reduce(mutate, written)).toString('utf8'))
      }),
      { numRuns: share, endOnFailure: true },
    )
  })

  test(`${reader.name}: values in a hundred thousand others do not exhaust the stack`, () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"priceInfo":', '}'],
      ['{"results":[', ']}'],
    ] as const) {
      check(reader, open.repeat(100_000) + close.repeat(100_000))
    }
  })
}

test('any text is an address of a store or refused without a word of it', () => {
  const parts = fc.constantFrom(
    ...[
      's3://',
      's3+http://',
      'gs://',
      'file://',
      'w3s://',
      'KEY:sEcReT@',
      'h',
      '/',
      'b1',
      '..',
      '%',
      '%2F',
      '%00',
    ],
    ...[
      '?',
      '&',
      'acl=none',
      'region=x',
      'style=path',
      'endpoint=http://h',
      'keyfile=',
      '#',
      ':',
      '@',
      '\0',
      '\n',
      ' ',
    ],
  )
  const text = fc.oneof(
    fc.array(parts, { maxLength: 10 }).map((all) => all.join('')),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  )
  fc.assert(
    fc.property(text, (address) => {
      try {
        const { place, shown } = parseStoreAddress(address)
        assert.ok(place.kind === 'folder' || !shown.includes('sEcReT'))
        if (place.kind !== 'folder') assert.ok(!/(^|\/)\.\.?(\/|$)/.test(place.prefix), place.prefix)
      } catch (error) {
        assert.ok(error instanceof NodeError && error.code === 'bad-store-address', String(error))
        assert.ok(!error.message.includes('sEcReT'), error.message)
      }
    }),
    { numRuns: share },
  )
})

const LISTED = `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<Name>bucket</Name><Prefix>root/a/</Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated>
<NextContinuationToken>x</NextContinuationToken><Contents><Key>root/a/0.ts</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>
<ETag>&quot;e&quot;</ETag><Size>100</Size></Contents><Contents><Key>root/a/1.ts</Key><Size>200</Size></Contents>
<CommonPrefixes><Prefix>root/a/b/</Prefix></CommonPrefixes></ListBucketResult>`
/** What XML can do to its readers: entities of entities, of files, and elements in elements. */
const XML_TRICKS = [
  `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">${Array.from({ length: 20 }, (_, i) => `<!ENTITY a${i} "${`&a${i - 1 || ''};`.repeat(10)}">`).join('')}]>`,
  '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
  '<a>'.repeat(20_000),
  '<Contents><Key>root/../../x</Key><Size>-1</Size></Contents>',
  '<Contents><Key>&a19;&#0;&#x110000;</Key><Size>1e400</Size><LastModified>soon</LastModified></Contents>',
  '<__proto__><polluted>1</polluted></__proto__>',
  '<IsTruncated>maybe</IsTruncated>',
]

test('a listing of a bucket of S3 that is not as it should be is read or refused, nothing else', async (t) => {
  let body = Buffer.alloc(0)
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/xml' }).end(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const { place, shown } = parseStoreAddress(`s3+http://KEY:sEcReT@127.0.0.1:${port}/bucket/root`)
  const objects = new S3Objects(place as S3Place, { shown, isPublic: false }, { clock: systemClock })
  const seen = { accepted: 0, refused: 0 }
  const listed = async (bytes: Uint8Array) => {
    body = Buffer.from(bytes)
    try {
      const { files, folders } = await objects.list('a/')
      for (const { bytes, path, savedMs } of files) {
        assert.ok(
          !path.includes('aaaaaaaaaaaaaaaaaaaa') && typeof bytes === 'number' && !Number.isNaN(savedMs),
        )
      }
      assert.ok(folders.every((folder) => typeof folder === 'string'))
      seen.accepted++
    } catch (error) {
      assert.ok(error instanceof StoreError, `${String(error)} for ${Buffer.from(bytes).toString('utf8')}`)
      assert.ok(error.message.length < MAX_REASON && !error.message.includes('sEcReT'), error.message)
      seen.refused++
    }
  }
  const written = Buffer.from(LISTED)
  for (const trick of XML_TRICKS) {
    for (const at of [LISTED.indexOf('<ListBucketResult'), LISTED.indexOf('<Contents>')]) {
      await listed(Buffer.from(LISTED.slice(0, at) + trick + LISTED.slice(at)))
    }
  }
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false)
  await fc.assert(
    fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 2 }), (mutations) =>
      listed(mutations.reduce(mutate, written)),
    ),
    { numRuns: LISTINGS, endOnFailure: true },
  )
  assert.ok(seen.accepted > LISTINGS / 100 && seen.refused > LISTINGS / 20, JSON.stringify(seen))
})

test('times of MPEG-TS are on their clock whatever they are made of', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 5, maxLength: 5 }), fc.maxSafeInteger(), (bytes, to) => {
      const from = timeAt(bytes, 0)
      assert.ok(from >= 0 && from < CLOCK_WRAP)
      const between = ticksBetween(from, onClock(to))
      assert.ok(between >= -CLOCK_WRAP / 2 && between < CLOCK_WRAP / 2)
      assert.equal(onClock(from + between), onClock(to))
    }),
    { numRuns: share },
  )
})

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  addSegment,
  EMPTY_PLAYLIST,
  PLAYLIST_WINDOW,
  writeMasterPlaylist,
  writeMediaPlaylist,
} from '../../src/domain/playlist.ts'
import { MAX_RENDITIONS } from '../../src/domain/rendition.ts'
import { segmentFacts } from '../../src/domain/segment-facts.ts'
import { chooseSession, type IdleSession, probabilities } from '../../src/domain/selection.ts'
import { encodePath, parseStreamPath, pathExtension, sequenceOf } from '../../src/domain/stream-name.ts'
import { isKnown, rangeOf, takesGzip } from '../../src/io/http/entity.ts'
import { multipartBody, renditionPart } from '../../src/io/http/multipart.ts'
import { parseStreamConfig } from '../../src/io/http/stream-config.ts'
import { MemoryObjects } from '../../src/io/objects/memory-objects.ts'
import { concatBytes } from '../../src/lib/bytes.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { NodeError } from '../../src/lib/errors.ts'
import { Rational } from '../../src/lib/rational.ts'

/** Inputs over all properties; FUZZ_RUNS changes it. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 7_000)
const PROPERTIES = 10
const numRuns = Math.ceil(RUNS / PROPERTIES)

/** Text with special characters: paths, line breaks, quotes, lone surrogates. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc
    .array(
      fc.constantFrom(
        '/',
        '.',
        '..',
        'live/',
        'stream/',
        ' ',
        '\r\n',
        '"',
        '#EXT',
        'ts',
        '.m3u8',
        'a',
        '0',
        '\ud800',
        '%',
        '\0',
      ),
      { maxLength: 12 },
    )
    .map((pieces) => pieces.join('')),
)

test('any path is parsed, to a name without a slash, deterministically and quickly', () => {
  fc.assert(
    fc.property(hostile, (path) => {
      const { manifestId, rest } = parseStreamPath(path)
      assert.ok(!manifestId.includes('/'))
      assert.ok(manifestId.length + rest.length <= path.length)
      const sequence = sequenceOf(path)
      assert.ok(sequence >= 0n && sequence < 2n ** 63n)
      assert.ok(path.endsWith(pathExtension(path)))
      assert.match(encodePath(path), /^[!-~]*$/, 'an encoded path is printable ASCII without spaces')
    }),
    { numRuns },
  )
})

const ordinaryName = fc
  .stringMatching(/^[A-Za-z0-9_-]{1,20}$/)
  .filter((name) => !name.endsWith('live') && name !== 'stream')

test('an ordinary path gives its stream and rendition', () => {
  fc.assert(
    fc.property(ordinaryName, ordinaryName, fc.bigInt(0n, 2n ** 63n - 1n), (stream, rendition, sequence) => {
      assert.deepEqual(parseStreamPath(`/live/${stream}/${sequence}.ts`), {
        manifestId: stream,
        rest: String(sequence),
      })
      assert.equal(sequenceOf(`/live/${stream}/${sequence}.ts`), sequence)
      assert.deepEqual(parseStreamPath(`/stream/${stream}/${rendition}.m3u8`), {
        manifestId: stream,
        rest: rendition,
      })
    }),
    { numRuns },
  )
})

/** JSON that resembles a configuration, with mutated characters. */
const configText = fc.oneof(
  fc.json(),
  hostile,
  fc
    .record(
      {
        manifestID: fc.oneof(hostile, fc.jsonValue()),
        presets: fc.oneof(fc.array(fc.constantFrom('P144p30fps16x9', 'P240p30fps16x9', 'x')), fc.jsonValue()),
        profiles: fc.oneof(
          fc.array(
            fc.record(
              {
                name: fc.oneof(hostile, fc.jsonValue()),
                width: fc.oneof(fc.integer(), fc.double(), fc.jsonValue()),
                height: fc.integer(),
                bitrate: fc.integer(),
                fps: fc.nat(),
                fpsDen: fc.nat(),
                gop: fc.oneof(fc.constantFrom('intra', '2.0', '1e9', '-1', ''), hostile),
                profile: fc.constantFrom('None', 'h264high', 'x'),
                encoder: fc.constantFrom('H.264', 'HEVC', 'x'),
              },
              { requiredKeys: [] },
            ),
            { maxLength: 14 },
          ),
          fc.jsonValue(),
        ),
        timeoutMultiplier: fc.oneof(fc.integer(), fc.double(), fc.jsonValue()),
        forceSessionReinit: fc.oneof(fc.boolean(), fc.jsonValue()),
        objectStore: fc.option(hostile),
        ['__proto__']: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    .chain((config) => {
      const text = JSON.stringify(config)
      return fc
        .tuple(fc.nat(text.length), fc.constantFrom('', '"', '}', ',', '\\', '\0'))
        .map(([at, insert]) => (insert === '' ? text : text.slice(0, at) + insert + text.slice(at + 1)))
    }),
)

test('a configuration header is read within bounds or refused by name', () => {
  fc.assert(
    fc.property(configText, (text) => {
      try {
        const config = parseStreamConfig(Buffer.from(text, 'utf8').toString('latin1'))
        assert.ok(Number.isInteger(config.timeoutMultiplier))
        const profiles = config.profiles ?? []
        assert.ok(profiles.length <= MAX_RENDITIONS)
        assert.equal(new Set(profiles.map(({ name }) => name)).size, profiles.length)
        for (const { name, width, height, fps } of profiles) {
          assert.ok(name !== '' && !/[\p{Cc}/"]/u.test(name))
          assert.ok(width >= 0 && height >= 0 && fps >= 0)
        }
      } catch (error) {
        assert.ok(error instanceof NodeError && error.code === 'bad-stream-config', String(error))
      }
    }),
    { numRuns },
  )
})

const part = fc.record({
  name: hostile,
  sequence: fc.bigInt(0n, 2n ** 63n - 1n),
  extension: fc.constantFrom('.ts', '.mp4'),
  mimeType: fc.constantFrom('video/mp2t', 'video/mp4'),
  bytes: fc.uint8Array({ maxLength: 80 }),
})

test('parts of a written multipart body are read back unchanged', () => {
  const boundary = '0123456789abcdef0123'
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
      const read = readMultipart(concatBytes(...multipartBody(parts.map(renditionPart), boundary)), boundary)
      assert.equal(read.length, parts.length)
      for (const [i, { headers, bytes }] of read.entries()) {
        assert.deepEqual(bytes, Buffer.from(parts[i]!.bytes))
        assert.deepEqual(
          [...headers.keys()],
          ['Content-Disposition', 'Content-Length', 'Content-Type', 'Rendition-Name'],
        )
        assert.equal(headers.get('Content-Length'), String(bytes.length))
        assert.match(headers.get('Content-Disposition')!, /^attachment; filename="[^"]*"$/)
        assert.ok(headers.get('Content-Type')!.startsWith(`${parts[i]!.mimeType}; name="`))
      }
    }),
    { numRuns },
  )
})

/** Parses by lengths, as strict clients do. */
function readMultipart(
  body: Uint8Array,
  boundary: string,
): { headers: Map<string, string>; bytes: Buffer }[] {
  let rest = Buffer.from(body)
  const take = (length: number) => {
    assert.ok(length <= rest.length)
    const taken = rest.subarray(0, length)
    rest = rest.subarray(length)
    return taken
  }
  const line = () => {
    const end = rest.indexOf('\r\n')
    assert.ok(end >= 0)
    const text = take(end).toString('utf8')
    take(2)
    return text
  }
  const parts: { headers: Map<string, string>; bytes: Buffer }[] = []
  for (;;) {
    const separator = line()
    if (separator === `--${boundary}--`) break
    assert.equal(separator, `--${boundary}`)
    const headers = new Map<string, string>()
    for (let header = line(); header !== ''; header = line()) {
      const colon = header.indexOf(': ')
      headers.set(header.slice(0, colon), header.slice(colon + 2))
    }
    parts.push({ headers, bytes: take(Number(headers.get('Content-Length'))) })
    assert.equal(line(), '')
  }
  assert.equal(rest.length, 0)
  return parts
}

test('for any order of pushes a playlist is a sorted window that players can read', () => {
  const pushes = fc.array(
    fc.record({
      sequence: fc.oneof(fc.bigInt(0n, 12n), fc.bigInt(0n, 2n ** 63n - 1n)),
      path: hostile,
      durationMs: fc.integer({ min: 0, max: 300_000 }),
    }),
    { maxLength: 30 },
  )
  fc.assert(
    fc.property(pushes, hostile, (segments, name) => {
      let playlist = EMPTY_PLAYLIST
      for (const segment of segments) {
        const next = addSegment(playlist, segment)
        assert.ok(next.mediaSequence - playlist.mediaSequence <= 1)
        assert.ok(next === playlist || next.entries.length >= playlist.entries.length)
        playlist = next
      }
      const { entries, mediaSequence, longestMs } = playlist
      assert.ok(entries.length <= PLAYLIST_WINDOW)
      if (mediaSequence > 0) assert.equal(entries.length, PLAYLIST_WINDOW)
      for (let i = 1; i < entries.length; i++) assert.ok(entries[i - 1]!.sequence < entries[i]!.sequence)
      const lines = writeMediaPlaylist(playlist).split('\n')
      assert.equal(lines.length, 4 + 2 * entries.length + 1)
      assert.equal(lines[2], `#EXT-X-MEDIA-SEQUENCE:${mediaSequence}`)
      assert.equal(lines[3], `#EXT-X-TARGETDURATION:${Math.ceil(longestMs / 1000)}`)
      for (const [i, { durationMs }] of entries.entries()) {
        assert.equal(lines[4 + 2 * i], `#EXTINF:${(durationMs / 1000).toFixed(3)},`)
        assert.match(lines[5 + 2 * i]!, /^\/stream\/[!-~]*$/)
      }
      const master = writeMasterPlaylist(name, [{ name, bandwidth: 1, resolution: '0x0' }])
      assert.equal(master.split('\n').length, 5)
    }),
    { numRuns },
  )
})

test('a store never exceeds its limit and always has the newest object', async () => {
  const puts = fc.array(fc.tuple(fc.nat(4), fc.nat(30), fc.nat(900)), { minLength: 1, maxLength: 60 })
  await fc.assert(
    fc.asyncProperty(puts, fc.nat(4), async (files, dropped) => {
      const objects = new MemoryObjects({ maxBytes: 8_000, filesPerDirectory: 3 })
      for (const [directory, file, size] of files) {
        await objects.save(`s${directory}/r/${file}`, new Uint8Array(size))
        assert.ok(objects.bytes <= 8_000)
        assert.ok(objects.files <= 15)
        assert.equal((await objects.load(`s${directory}/r/${file}`))?.length, size)
      }
      await objects.drop(`s${dropped}/`)
      for (let file = 0; file <= 30; file++) assert.equal(await objects.load(`s${dropped}/r/${file}`), null)
      for (let i = 0; i <= 4; i++) await objects.drop(`s${i}/`)
      assert.equal(objects.bytes, 0)
      assert.equal(objects.files, 0)
    }),
    { numRuns },
  )
})

test('a part of a segment lies within it, whatever is asked for', () => {
  const digits = fc.oneof(fc.constantFrom('', '0', '9', '99999999999999999'), fc.nat(20).map(String))
  const range = fc.oneof(
    fc.tuple(fc.constantFrom('bytes=', 'bytes ', 'items='), digits, fc.constantFrom('-', ','), digits),
    fc.tuple(hostile),
  )
  fc.assert(
    fc.property(range, fc.nat(12), fc.option(hostile, { nil: undefined }), (parts, size, version) => {
      const headers = { range: parts.join(''), ...(version !== undefined && { 'if-range': version }) }
      const part = rangeOf(headers, { size, tag: '"a"' })
      if (part === null || part === 'all') return
      assert.ok(Number.isSafeInteger(part.from) && Number.isSafeInteger(part.to))
      assert.ok(part.from >= 0 && part.from <= part.to && part.to < size, JSON.stringify({ part, size }))
      isKnown({ 'if-none-match': parts.join('') }, '"a"')
      takesGzip({ 'accept-encoding': parts.join('') })
    }),
    { numRuns },
  )
})

const session = fc.record({
  score: fc.option(fc.double({ min: 0, max: 5, noNaN: true })),
  recipient: fc.option(fc.constantFrom('0xa', '0xb', '0xc') as fc.Arbitrary<Address>),
  price: fc.option(fc.bigInt(0n, 10n ** 20n).map((wei) => Rational.of(wei))),
})

test('an idle session is chosen, never one that is too expensive or cannot be paid', () => {
  fc.assert(
    fc.property(
      fc.array(session, { maxLength: 12 }),
      fc.bigInt(0n, 10n ** 20n),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.bigInt(0n, 10n ** 30n),
      (idle: IdleSession[], max, thrown, stake) => {
        const weights = {
          stakeWeight: 0.7,
          priceWeight: 0.1,
          randomWeight: 0.2,
          priceExpFactor: 100,
          maxPrice: Rational.of(max),
          ignoreMaxPriceIfNeeded: false,
          minPerfScore: 0,
        }
        const facts = { stakeOf: () => stake, perfScoreOf: () => null }
        const chosen = chooseSession(idle, weights, facts, () => thrown)
        assert.ok(chosen === null || idle.includes(chosen))
        if (chosen !== null) assert.ok(chosen.price !== null && chosen.price.cmp(weights.maxPrice) <= 0)
        const weighed = idle
          .filter(({ recipient, price }) => recipient !== null && price !== null)
          .map(({ recipient, price }) => ({ recipient: recipient!, price, stake, perfScore: null }))
        const sum = probabilities(weighed, weights).reduce((total, share) => total + share, 0)
        assert.ok(weighed.length === 0 ? sum === 0 : Math.abs(sum - 1) < 1e-6)
      },
    ),
    { numRuns },
  )
})

test('what a segment says of itself is read from any bytes without harm', () => {
  const folder = new URL('../vectors/renditions/', import.meta.url)
  const clip = new Uint8Array(readFileSync(new URL('tiny-0.mpegts', folder)))
  const changes = fc.array(fc.tuple(fc.nat(clip.length - 1), fc.nat(255)), { maxLength: 40 })
  const inPackets = fc.array(fc.tuple(fc.nat(60), fc.nat(30), fc.nat(255)), { maxLength: 20 })
  const isPlausible = (bytes: Uint8Array, format: 'mpegts' | 'mp4') => {
    const facts = segmentFacts(bytes, format)
    if (!facts) return
    const { pictures, picturesMs, size, span } = facts
    assert.ok(pictures >= 0 && Number.isFinite(picturesMs) && picturesMs >= 0)
    for (const codec of [facts.video, facts.audio]) assert.match(codec ?? '', /^[\w.-]*$/)
    assert.ok(!size || (size.width > 0 && size.height > 0 && size.width <= 65_535 && size.height <= 65_535))
    assert.ok(!span || (span.start >= 0 && span.start < 2 ** 33 && span.end >= 0 && span.end < 2 ** 33))
  }
  fc.assert(
    fc.property(changes, inPackets, fc.nat(clip.length), (anywhere, early, length) => {
      const bytes = clip.slice(0, Math.max(188, length))
      for (const [at, byte] of anywhere) bytes[at % bytes.length] = byte
      // The first bytes of early packets are tables, headers and parameter sets.
      for (const [packet, at, byte] of early) bytes[(packet * 188 + 1 + at) % bytes.length] = byte
      for (let at = 0; at < bytes.length; at += 188) bytes[at] = 0x47
      isPlausible(bytes, 'mpegts')
    }),
    { numRuns },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
      isPlausible(bytes, 'mpegts')
      isPlausible(bytes, 'mp4')
    }),
    { numRuns },
  )
})

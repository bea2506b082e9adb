import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { loadBenchSettings } from './flags.ts'

const files: Record<string, string> = {
  'one.json': '[{"name":"small","width":256,"height":144,"bitrate":100000,"fps":15}]',
  'bad.json': '{"name":',
}
const load = (...argv: string[]) => loadBenchSettings(argv, (path) => files[path] ?? null)

suite('the flags of livepeer_bench', () => {
  test('have the defaults of the network’s bench', () => {
    const settings = load('-in', 'a.m3u8')
    assert.ok(!('exit' in settings))
    const { profiles, ...rest } = settings
    assert.deepEqual(rest, {
      source: 'a.m3u8',
      isLive: true,
      sessions: 1,
      sessionDelayMs: 300,
      repeat: 1,
      segments: null,
      gpus: [],
      outPrefix: null,
      mpeg7Sign: false,
      verbosity: 3,
      warnings: [],
    })
    assert.deepEqual(
      profiles.map(({ name }) => name),
      ['P240p30fps16x9', 'P360p30fps16x9', 'P720p30fps16x9'],
    )
  })

  test('are written like those of the node', () => {
    const settings = load(
      ...[
        '--in=b.m3u8',
        '-live=F',
        '-concurrentSessions',
        '0x4',
        '--concurrentSessionDelay',
        '1.5s',
        '-repeat=2',
      ],
      ...['-segs', '5', '-transcodingOptions', 'one.json', '-outPrefix', 'out/x', '-mpeg7Sign', '-log', '5'],
      ...['-nvidia', '1,0,1', '-segs', '6'],
    )
    assert.ok(!('exit' in settings))
    const { profiles, ...rest } = settings
    assert.deepEqual(rest, {
      source: 'b.m3u8',
      isLive: false,
      sessions: 4,
      sessionDelayMs: 1500,
      repeat: 2,
      segments: 6,
      gpus: ['1', '0'],
      outPrefix: 'out/x',
      mpeg7Sign: true,
      verbosity: 5,
      warnings: [],
    })
    assert.deepEqual([profiles[0]?.name, profiles[0]?.width, profiles.length], ['small', 256, 1])
  })

  test('an unknown preset is left out with a warning', () => {
    const settings = load('-in', 'a.m3u8', '-transcodingOptions', 'P240p30fps16x9,P360p30fps16x8')
    assert.ok(!('exit' in settings))
    assert.equal(settings.profiles.length, 1)
    assert.deepEqual(settings.warnings, [
      '-transcodingOptions: "P360p30fps16x8" is ignored: did you mean P360p30fps16x9?',
    ])
  })

  const refused: [argv: string[], code: number, sentence: string][] = [
    [[], 1, '-in is missing: give the media playlist (.m3u8) of the segments'],
    [['-inn', 'a'], 2, 'there is no flag -inn: did you mean -in?'],
    [['-gateway'], 2, 'there is no flag -gateway: livepeer_bench -help lists all flags'],
    [
      ['a.m3u8'],
      2,
      'the word "a.m3u8" is not part of a flag: remove it, or put quotes around a value with spaces',
    ],
    [['-live', 'false'], 2, '"false" after -live is not its value: write -live=false'],
    [['-in'], 2, '-in needs a value'],
    [['-segs', 'all'], 2, '-segs must be a whole number, not "all"'],
    [
      ['-concurrentSessionDelay', '300'],
      2,
      '-concurrentSessionDelay must be a duration with a unit, such as 500ms, 90s or 1h30m, not "300"',
    ],
    [['-concurrentSessions', '0'], 1, '-concurrentSessions is from 1 to 256, not 0'],
    [['-repeat', '0'], 1, '-repeat is from 1 to 1000000, not 0'],
    [['-segs', '-1'], 1, '-segs is from 0 to 1000000, not -1'],
    [['-concurrentSessionDelay', '-1s'], 1, '-concurrentSessionDelay is from 0 to 1h, not "-1s"'],
    [['-transcodingOptions', 'x'], 1, 'No transcoding profiles found in -transcodingOptions "x"'],
    [['-transcodingOptions', 'bad.json'], 1, '-transcodingOptions bad.json: the file is not JSON'],
    [
      ['-nvidia', 'first'],
      1,
      '-nvidia "first" holds "first", which is not a GPU number: give numbers such as 0,1, or all',
    ],
    [
      ['-netint', '0'],
      1,
      '-netint is refused: the FFmpeg that comes with this program has no codecs for NETINT cards: leave it out to transcode on the CPU, or give -nvidia',
    ],
    [['-nvidia', '0', '-netint', '0'], 1, '-nvidia and -netint do not go together: give one of them'],
  ]
  for (const [argv, code, sentence] of refused) {
    test(`${JSON.stringify(argv)} is refused: ${sentence}`, () => {
      const given = argv.length === 0 || code === 2 ? argv : ['-in', 'a.m3u8', ...argv]
      assert.deepEqual(load(...given), { exit: { code, stdout: '', stderr: `${sentence}\n` } })
    })
  }

  test('-help lists every flag with its default and its value', () => {
    const settings = load('-help')
    assert.ok('exit' in settings && settings.exit.code === 0)
    const told = [...settings.exit.stdout.matchAll(/^ {2}-(\w+)/gm)].map((match) => match[1])
    assert.deepEqual(
      told.toSorted(),
      `in live concurrentSessions concurrentSessionDelay repeat segs transcodingOptions nvidia netint outPrefix
      mpeg7Sign log`
        .split(/\s+/)
        .toSorted(),
    )
    assert.match(settings.exit.stdout, /-concurrentSessionDelay DURATION\n .*\(default 300ms\)\n/)
  })
})

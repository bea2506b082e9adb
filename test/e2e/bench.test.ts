import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { runBench } from '../../src/commands/bench/command.ts'
import { readTextFile } from '../../src/config/files.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { look, makeSegments } from '../media/media.ts'

const BIN = fileURLToPath(new URL('../../bin/livepeer_bench', import.meta.url))
const PRESETS = 'P144p30fps16x9,P240p30fps16x9'

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function bench(folder: string, ...argv: string[]): Promise<Ended> {
  const ending = promisify(execFile)(BIN, argv, { cwd: folder, timeout: 120_000, killSignal: 'SIGKILL' })
  return await ending.then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: Ended) => ({ code: error.code, stdout: error.stdout, stderr: error.stderr }),
  )
}

suite('livepeer_bench', () => {
  let folder = ''
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'livepeer-bench-'))
    const segments = await makeSegments(3, { durationMs: 1000 })
    segments.forEach((bytes, index) => {
      writeFileSync(join(folder, `s${index}.ts`), bytes)
    })
    writeFileSync(join(folder, 'broken.ts'), Buffer.alloc(1000, 7))
    playlist('three.m3u8', ['s0.ts', 's1.ts', 's2.ts'])
    playlist('broken.m3u8', ['s0.ts', 'broken.ts', 's2.ts'])
    playlist('gone.m3u8', ['nothing.ts'])
    playlist('remote.m3u8', ['https://example.invalid/s0.ts'])
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  function playlist(name: string, uris: readonly string[]): void {
    const lines = uris.flatMap((uri) => ['#EXTINF:1.000000,', uri])
    writeFileSync(join(folder, name), ['#EXTM3U', '#EXT-X-TARGETDURATION:1', ...lines, ''].join('\n'))
  }

  test('transcodes the segments of a playlist, keeps the renditions and reports how long each took', async () => {
    const options = ['-live=false', '-transcodingOptions', PRESETS, '-outPrefix', join(folder, 'out')]
    const { code, stdout, stderr } = await bench(
      tmpdir(),
      ...['-in', join(folder, 'three.m3u8'), '-segs', '2', '-concurrentSessions', '2', '-repeat', '2'],
      ...['-concurrentSessionDelay', '10ms', '-mpeg7Sign', ...options],
    )
    assert.equal(code, 0, stderr)

    const [header, ...lines] = stdout.trimEnd().split('\n')
    assert.equal(header, 'timestamp,session,segment,seg_dur,transcode_time,frames')
    const rows = lines.map((line) => line.split(','))
    const order = (session: string) =>
      rows
        .filter((row) => row[1] === session)
        .map(([, , segment, duration, , frames]) => [segment, duration, frames])
    const round = [
      ['0', '1', '30'],
      ['1', '1', '30'],
    ]
    assert.deepEqual(
      [order('0'), order('1')],
      [
        [...round, ...round],
        [...round, ...round],
      ],
    )
    assert.ok(rows.every(([time]) => /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{0,3}[1-9])?$/.test(time!)))

    const tables = stderr.matchAll(/^\| (.+?) +\| (.+?) +\|$/gm)
    const told = [...tables].map((match) => [match[1]!, match[2]!] as const)
    const valuesOf = (name: string) => told.filter(([known]) => known === name).map(([, value]) => value)
    assert.deepEqual(valuesOf('Transcoding Options'), [PRESETS])
    assert.deepEqual(valuesOf('Repeat Times'), ['2'])
    assert.deepEqual(valuesOf('Total Segs Transcoded'), ['4', '4'])
    assert.deepEqual(valuesOf('Total Source Duration'), ['4s', '4s'])
    const took = [rows.slice(0, 4), rows.slice(4)].map((half) => half.map((row) => Number(row[4])))
    valuesOf('Total Transcoding Duration').forEach((value, index) => {
      const sum = took[index]!.reduce((total, seconds) => total + seconds, 0)
      // Each line has four digits, and so has the sum.
      assert.ok(Math.abs(Number.parseFloat(value) - sum) < 0.005, `${value} is the sum of ${took[index]}`)
      const ratio = Number(valuesOf('* Real-Time Duration Ratio *')[index])
      assert.ok(Math.abs(ratio - sum / 4) < 0.002, `${ratio} is ${sum} over 4`)
    })
    assert.deepEqual(
      valuesOf('Real-Time Segs Transcoded'),
      took.map((half) => String(half.filter((seconds) => seconds <= 1).length)),
    )

    const outputs = readdirSync(folder).filter((name) => name.startsWith('out_'))
    const expected = ['P144p30fps16x9_0', 'P240p30fps16x9_1'].flatMap((profile) =>
      ['0_0', '0_1', '1_0', '1_1'].flatMap((which) => [
        `out_${profile}_${which}.ts`,
        `out_${profile}_${which}.ts.bin`,
      ]),
    )
    assert.deepEqual(outputs.toSorted(), expected.toSorted())
    for (const name of outputs) {
      const bytes = readFileSync(join(folder, name))
      if (name.endsWith('.bin')) assert.ok(bytes.length > 200, `${name} is a signature`)
      else {
        const { video, audio, height } = await look(bytes)
        assert.deepEqual([video.length, height], [30, name.includes('P144') ? 144 : 240])
        assert.ok(audio.length > 0)
      }
    }
  })

  const failing: [name: string, playlist: string, sentence: RegExp, ...argv: string[]][] = [
    [
      'a folder for renditions that is not there',
      'three.m3u8',
      /^livepeer_bench: segment 0 of session 0 \(.*s0\.ts\) failed: -outPrefix: ENOENT: .*'\/nowhere\/x_P144p30fps16x9_0_0_0\.ts'$/m,
      ...['-outPrefix', '/nowhere/x'],
    ],
    [
      'a GPU that is not there',
      'three.m3u8',
      /^livepeer_bench: no GPU of -nvidia works \(GPU 97: .+\): repair one, or leave -nvidia out to transcode on the CPU$/m,
      ...['-nvidia', '97'],
    ],
    [
      'a segment that cannot be transcoded',
      'broken.m3u8',
      /^livepeer_bench: segment 1 of session 0 \(.*broken\.ts\) failed: TranscoderInvalidVideo$/m,
    ],
    [
      'a segment that is not there',
      'gone.m3u8',
      /^livepeer_bench: segment 0 of session 0 \(.*nothing\.ts\) failed: the file cannot be read: ENOENT.*$/m,
    ],
    [
      'a segment elsewhere',
      'remote.m3u8',
      /^livepeer_bench: -in \S+remote\.m3u8: the segment https:\S+ is not a local file: download it and list it by its path$/m,
    ],
    [
      'a playlist that is none',
      's0.ts',
      /^livepeer_bench: -in \S+s0\.ts: the playlist does not begin with #EXTM3U, so it is not a playlist$/m,
    ],
    [
      'a playlist that is not there',
      'none.m3u8',
      /^livepeer_bench: -in \S+none\.m3u8 cannot be read or is empty or huge$/m,
    ],
  ]
  for (const [name, source, sentence, ...more] of failing) {
    test(`${name} ends it with a sentence and exit code 1`, async () => {
      const out: string[] = []
      const errors: string[] = []
      const options = ['-live=false', '-transcodingOptions', 'P144p30fps16x9', ...more]
      const argv = ['-in', join(folder, source), ...options]
      const env = {
        argv,
        readText: readTextFile,
        write: (text: string) => void out.push(text),
        writeError: (text: string) => void errors.push(text),
        ...{ clock: systemClock, cpus: 1, version: '1.2.3' },
      }
      assert.equal(await runBench(env, AbortSignal.timeout(60_000)), 1)
      assert.match(errors.join(''), sentence)
      assert.ok(!errors.join('').includes('Total Segs'), 'there is no summary of half a run')
      const lines = out.filter((line) => /^\d/.test(line))
      assert.equal(lines.length, source === 'broken.m3u8' ? 1 : 0)
    })
  }

  test('a wrong flag ends it with one sentence and exit code 2', async () => {
    assert.deepEqual(await bench(folder, '-inn', 'three.m3u8'), {
      code: 2,
      stdout: '',
      stderr: 'livepeer_bench: there is no flag -inn: did you mean -in?\n',
    })
  })
})

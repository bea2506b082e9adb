import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { freePort } from '../../devnet/free-port.ts'
import { makeSegment } from '../media/media.ts'
import { WITHOUT_IPV6 } from '../net/ipv6.ts'
import { until } from '../tools/until.ts'
import { testNodes } from './nodes.ts'
import { writeTinyProfiles } from './tiny-stream.ts'

/** Publishing programs against a gateway and an orchestrator, started by the commands of an operator. */

const run = promisify(execFile)

async function isInstalled(program: string, flag: string): Promise<boolean> {
  return run(program, [flag]).then(
    () => true,
    () => false,
  )
}

const skips = {
  ffmpeg: (await isInstalled('ffmpeg', '-version')) ? false : 'ffmpeg is not installed',
  curl: (await isInstalled('curl', '--version')) ? false : 'curl is not installed',
}

const SECONDS = 2
const SEGMENTS = 4
const FPS = 10

/** FFmpeg's input: a test card with a tone, and a key frame at the start of every segment. */
const SOURCE = [
  ...['-f', 'lavfi', '-i', `testsrc=size=320x180:rate=${FPS}`],
  ...['-f', 'lavfi', '-i', 'sine=frequency=440', '-t', String(SECONDS * SEGMENTS)],
  ...['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', String(FPS * SECONDS)],
  ...['-c:a', 'aac', '-ac', '1'],
]

async function startNodes(t: TestContext) {
  const { folder, node } = await testNodes(t)
  const address = `127.0.0.1:${await freePort()}`
  const http = `127.0.0.1:${await freePort()}`
  const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
  const orchestrator = await node('orchestrator', [
    ...['-orchestrator', '-transcoder', '-maxSessions', '20', '-serviceAddr', address],
  ])
  await orchestrator.start()
  const gateway = await node('gateway', [
    ...['-gateway', '-httpAddr', http, '-orchAddr', address, '-transcodingOptions', profiles],
  ])
  await gateway.start()
  return { folder, gateway, base: `http://${http}` }
}

type Nodes = Awaited<ReturnType<typeof startNodes>>

/** Waits until the rendition's playlist lists these segments, and fetches them. */
async function renditions({ base, gateway }: Nodes, stream: string, sequences: readonly number[]) {
  const lines = sequences.map((sequence) => `/stream/${stream}/tiny/${sequence}.ts`)
  await until(
    async () => {
      const answer = await fetch(`${base}/stream/${stream}/tiny.m3u8`)
      const text = answer.ok ? await answer.text() : ''
      const listed = text.split('\n').filter((line) => line.startsWith('/'))
      return listed.join() === lines.join() ? true : null
    },
    `segments ${sequences.join(', ')} of ${stream} in the playlist`,
  ).catch((error: Error) => {
    throw new Error(`${error.message}\n${gateway.output.split('\n').slice(-12).join('\n')}`)
  })
  return await Promise.all(
    lines.map(async (line) => Buffer.from(await (await fetch(`${base}${line}`)).arrayBuffer())),
  )
}

/** Number of frames that FFmpeg's own decoder finds in a file. */
async function framesOf(path: string): Promise<number> {
  const what = [
    '-v',
    'error',
    '-count_frames',
    '-select_streams',
    'v',
    '-show_entries',
    'stream=nb_read_frames',
  ]
  const { stdout } = await run('ffprobe', [...what, '-of', 'csv=p=0', path])
  // The tracks of a transport stream are listed again under its program.
  return Number.parseInt(stdout, 10)
}

const ffmpegHabits: Readonly<Record<string, readonly string[]>> = {
  'PUT, a connection for each segment': ['-method', 'PUT'],
  'POST, a connection for each segment': ['-method', 'POST'],
  'one connection for all': ['-method', 'PUT', '-http_persistent', '1'],
  'old segments are deleted, its own lists are short': [
    ...[
      '-method',
      'PUT',
      '-hls_flags',
      'delete_segments',
      '-hls_list_size',
      '1',
      '-hls_delete_threshold',
      '1',
    ],
  ],
  'a name of its own in each request': [
    '-method',
    'PUT',
    '-user_agent',
    'OBS',
    '-headers',
    'X-Stream: 1\r\n',
  ],
}

test('FFmpeg publishes over HTTP, and every segment is transcoded', {
  skip: skips.ffmpeg,
}, async (t) => {
  const nodes = await startNodes(t)
  let number = 0
  for (const [habit, flags] of Object.entries(ffmpegHabits)) {
    await t.test(habit, async () => {
      const stream = `movie${number++}`
      const target = `${nodes.base}/live/${stream}`
      await run('ffmpeg', [
        ...['-hide_banner', '-nostdin', ...SOURCE, '-f', 'hls', '-hls_time', String(SECONDS), ...flags],
        ...['-hls_segment_filename', `${target}/%d.ts`, `${target}/x.m3u8`],
      ])
      const numbers = Array.from({ length: SEGMENTS }, (_, i) => i)
      const whole = join(nodes.folder, `${stream}.ts`)
      await writeFile(whole, Buffer.concat(await renditions(nodes, stream, numbers)))
      assert.equal(await framesOf(whole), SECONDS * SEGMENTS * FPS)
    })
  }
  await t.test('segments without a playlist', async () => {
    const list = ['-f', 'segment', '-segment_time', String(SECONDS), '-segment_format', 'mpegts']
    await run('ffmpeg', ['-hide_banner', '-nostdin', ...SOURCE, ...list, `${nodes.base}/live/plain/%d.ts`])
    const numbers = Array.from({ length: SEGMENTS }, (_, i) => i)
    assert.ok((await renditions(nodes, 'plain', numbers)).every(({ length }) => length > 1000))
  })
})

const curlHabits: Readonly<Record<string, readonly string[]>> = {
  'PUT of a file, with Expect: 100-continue': ['-T', 'FILE', '-H', 'Expect: 100-continue'],
  'POST of a file': ['--data-binary', '@FILE', '-H', 'Content-Type: video/mp2t'],
  'chunked, from a pipe': ['-T', '-', '-H', 'Transfer-Encoding: chunked'],
  'HTTP/1.0': ['--http1.0', '-T', 'FILE'],
  'a gateway as proxy': ['--noproxy', '', '-x', 'GATEWAY', '-T', 'FILE'],
  'renditions in the answer': ['-T', 'FILE', '-H', 'accept: multipart/mixed'],
  'a clear-text HTTP/2 upgrade, which is not taken': ['--http2', '-T', 'FILE'],
}

test('curl publishes a segment in each of its ways', { skip: skips.curl }, async (t) => {
  const nodes = await startNodes(t)
  const file = join(nodes.folder, 'source.ts')
  await writeFile(file, await makeSegment({ width: 160, height: 90, fps: FPS, durationMs: 1000 }))
  let number = 0
  for (const [habit, flags] of Object.entries(curlHabits)) {
    await t.test(habit, async () => {
      const stream = `curl${number++}`
      const words = flags.map((word) => word.replace('FILE', file).replace('GATEWAY', nodes.base))
      const url = `${nodes.base}/live/${stream}/5.ts`
      const curl = run('curl', ['-sS', '-f', '-w', '%{http_code}', '-o', '/dev/null', ...words, url])
      if (words.includes('-')) createReadStream(file).pipe(curl.child.stdin!)
      const { stdout } = await curl
      assert.equal(stdout, '200')
      const [rendition] = await renditions(nodes, stream, [5])
      assert.ok(rendition!.length > 1000)
    })
  }
})

test('FFmpeg and curl publish over IPv6', { skip: WITHOUT_IPV6 || skips.ffmpeg || skips.curl }, async (t) => {
  const { node } = await testNodes(t, { host: '::1' })
  const http = `[::1]:${await freePort()}`
  // Without an orchestrator only the source is served.
  const gateway = await node('gateway', ['-gateway', '-httpAddr', http])
  await gateway.start()
  const target = `http://${http}/live/movie`
  await run('ffmpeg', [
    ...['-hide_banner', '-nostdin', ...SOURCE, '-f', 'hls', '-hls_time', String(SECONDS), '-method', 'PUT'],
    ...['-hls_segment_filename', `${target}/%d.ts`, `${target}/x.m3u8`],
  ])
  const playlist = `http://${http}/stream/movie/source.m3u8`
  await until(async () => {
    const { stdout } = await run('curl', ['-sS', playlist])
    return stdout.split('\n').filter((line) => line.endsWith('.ts')).length === SEGMENTS || null
  }, 'every segment in the playlist')
})

import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { freePort } from '../../devnet/tcp-link.ts'
import { eventually } from '../tools/until.ts'
import { testNodes } from './nodes.ts'
import { writeTinyProfiles } from './tiny-stream.ts'

/** Publishing programs over RTMP against a gateway and an orchestrator. RTMP_SECONDS: how long each publishes. */

const run = promisify(execFile)
const SECONDS = Number(process.env.RTMP_SECONDS ?? 5)

async function isInstalled(program: string, flag: string): Promise<boolean> {
  return run(program, [flag]).then(
    () => true,
    () => false,
  )
}

const skips = {
  ffmpeg: (await isInstalled('ffmpeg', '-version')) ? false : 'ffmpeg is not installed',
  gstreamer: (await isInstalled('gst-launch-1.0', '--version')) ? false : 'gst-launch-1.0 is not installed',
}

const picture = (size: string, fps: number) => [...['-f', 'lavfi', '-i', `testsrc=size=${size}:rate=${fps}`]]
const TONE = ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=44100']
const x264 = (gop: number, ...more: readonly string[]) => [
  ...['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', String(gop), ...more],
]
const AAC = ['-c:a', 'aac', '-ac', '1']

interface Kind {
  readonly input: readonly string[]
  readonly output: readonly string[]
  readonly fps: number
}

const kinds: Readonly<Record<string, Kind>> = {
  'a 2 s GOP': {
    input: [...picture('160x90', 10), ...TONE],
    output: [...x264(20), ...AAC],
    fps: 10,
  },
  'B-frames': {
    input: [...picture('160x90', 10), ...TONE],
    output: [...x264(20, '-bf', '2', '-b_strategy', '0'), ...AAC],
    fps: 10,
  },
  '60 fps': {
    input: [...picture('160x90', 60), ...TONE],
    output: [...x264(120), ...AAC],
    fps: 60,
  },
  'a variable GOP': {
    input: [...picture('160x90', 10), ...TONE],
    output: [...x264(1000, '-force_key_frames', 'expr:gte(t,1.5*n_forced+0.6*mod(n_forced,2))'), ...AAC],
    fps: 10,
  },
  'portrait, 5.1 sound': {
    input: [...picture('90x160', 10), ...TONE],
    output: [...x264(20), '-c:a', 'aac', '-ac', '6'],
    fps: 10,
  },
  'MP3 sound': {
    input: [...picture('160x90', 10), ...TONE],
    output: [...x264(20), '-c:a', 'libmp3lame', '-ac', '1'],
    fps: 10,
  },
  'no sound': { input: picture('160x90', 10), output: [...x264(20), '-an'], fps: 10 },
  'eight hours on': {
    input: [...picture('160x90', 10), ...TONE],
    output: [...x264(20), ...AAC, '-output_ts_offset', '28800'],
    fps: 10,
  },
}

async function startNodes(t: TestContext) {
  const { folder, node } = await testNodes(t)
  const [service, http, rtmp] = [await freePort(), await freePort(), await freePort()].map(
    (port) => `127.0.0.1:${port}`,
  ) as [string, string, string]
  const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
  const orchestrator = await node('orchestrator', [
    ...['-orchestrator', '-transcoder', '-maxSessions', '20', '-serviceAddr', service],
  ])
  await orchestrator.start()
  const gateway = await node('gateway', [
    ...['-gateway', '-httpAddr', http, '-rtmpAddr', rtmp, '-orchAddr', service],
    ...['-transcodingOptions', profiles, '-maxSessions', '20'],
  ])
  await gateway.start()
  return { folder, gateway, base: `http://${http}`, rtmp: `rtmp://${rtmp}` }
}

type Nodes = Awaited<ReturnType<typeof startNodes>>

/** Follows a rendition's playlist until its end tag: the segments in order, and when the first was listed. */
async function follow({ base, gateway }: Nodes, stream: string, rendition: string, publisher: ChildProcess) {
  const segments = new Map<string, { bytes: Uint8Array; seconds: number }>()
  let firstAt = 0
  const look = async () => {
    const answer = await fetch(`${base}/stream/${stream}/${rendition}.m3u8`)
    const lines = answer.ok ? (await answer.text()).split('\n') : []
    if (lines.some((line) => line.startsWith('/')) && firstAt === 0) firstAt = performance.now()
    for (const [i, line] of lines.entries()) {
      if (!line.startsWith('/') || segments.has(line)) continue
      const bytes = new Uint8Array(await (await fetch(`${base}${line}`)).arrayBuffer())
      segments.set(line, { bytes, seconds: Number.parseFloat(lines[i - 1]!.slice('#EXTINF:'.length)) })
    }
    return lines.includes('#EXT-X-ENDLIST')
  }
  const what = `the end of ${stream}`
  await eventually(what, look, (SECONDS + 30) * 1000).catch((error: Error) => {
    throw new Error(`${error.message} (${publisher.exitCode})\n${gateway.output.slice(-1500)}`)
  })
  return { segments: [...segments.values()], firstAt }
}

/** Frames and errors that FFmpeg's own decoder finds in segments one behind the other. */
async function decoded(path: string, segments: readonly { bytes: Uint8Array }[]) {
  await writeFile(path, Buffer.concat(segments.map(({ bytes }) => bytes)))
  const count = ['-count_frames', '-select_streams', 'v', '-show_entries', 'stream=nb_read_frames']
  const probe = await run('ffprobe', ['-v', 'error', ...count, '-of', 'csv=p=0', path])
  const decode = await run('ffmpeg', ['-v', 'error', '-i', path, '-f', 'null', '-'])
  return { frames: Number.parseInt(probe.stdout, 10), errors: probe.stderr + decode.stderr }
}

test('FFmpeg publishes over RTMP, and every rendition has every frame', { skip: skips.ffmpeg }, async (t) => {
  const nodes = await startNodes(t)
  const all = Object.entries(kinds).map(async ([kind, { fps, input, output }], number) => {
    const stream = `movie${number}`
    const url = `${nodes.rtmp}/live/${stream}/key`
    const publisher = spawn(
      'ffmpeg',
      [
        ...['-hide_banner', '-nostdin', '-v', 'error', '-re', ...input, '-t', String(SECONDS), ...output],
        ...['-f', 'flv', url],
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    )
    t.after(() => publisher.kill('SIGKILL'))
    let connectedAt = 0
    const isConnected = () => new RegExp(`publisher connected.*${stream}\\b`).test(nodes.gateway.output)
    const connecting = eventually(`${stream} connects`, isConnected).then(() => {
      connectedAt = performance.now()
    })
    const [source, tiny] = await Promise.all(
      ['source', 'tiny'].map((rendition) => follow(nodes, stream, rendition, publisher)),
    )
    await connecting
    const frames = SECONDS * fps
    for (const [rendition, { firstAt, segments }] of Object.entries({ source: source!, tiny: tiny! })) {
      const { errors, frames: found } = await decoded(
        join(nodes.folder, `${stream}-${rendition}.ts`),
        segments,
      )
      const seconds = segments.reduce((sum, segment) => sum + segment.seconds, 0)
      t.diagnostic(
        `${kind}, ${rendition}: ${segments.length} segments, ${seconds.toFixed(3)} s, ${found} frames, first after ${Math.round(firstAt - connectedAt)} ms`,
      )
      assert.equal(errors, '', kind)
      assert.ok(Math.abs(seconds - SECONDS) <= 1 / fps + 0.001, `${kind}: ${seconds} s`)
      if (rendition === 'source') assert.equal(found, frames, kind)
      else assert.ok(Math.abs(found / 10 - SECONDS) <= 0.1 || found === frames, `${kind}: ${found} frames`)
    }
  })
  await Promise.all(all)
  assert.doesNotMatch(nodes.gateway.output, /\/key/)
})

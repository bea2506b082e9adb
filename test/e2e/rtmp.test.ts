import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { freePort } from '../../devnet/free-port.ts'
import { segmentFacts } from '../../src/domain/segment-facts.ts'
import { eventually } from '../tools/until.ts'
import { testNodes } from './nodes.ts'
import { writeTinyProfiles } from './tiny-stream.ts'

/**
 * Publishing programs over RTMP against a gateway and an orchestrator. RTMP_SECONDS: how long each publishes; RTMP_KINDS: a
 * pattern of those that do.
 */

const run = promisify(execFile)
const SECONDS = Number(process.env.RTMP_SECONDS ?? 5)
/** For a minute they publish a few at a time, so that two cores are enough. */
const AT_ONCE = SECONDS > 10 ? 4 : 100
const KINDS = new RegExp(process.env.RTMP_KINDS ?? '')

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
  'what OBS sets': {
    input: [...picture('160x90', 30), ...TONE],
    output: [
      ...[
        ...x264(60, '-bf', '2', '-b_strategy', '0', '-profile:v', 'high'),
        '-c:a',
        'aac',
        '-ac',
        '2',
        '-ar',
        '48000',
      ],
      ...['-flvflags', 'no_duration_filesize'],
    ],
    fps: 30,
  },
}

/**
 * Pipelines of GStreamer: pictures, sound if any, and what sends them when they are due. Live sources would lose times on a
 * busy machine.
 */
const pipelines: Readonly<
  Record<string, { readonly elements: string; readonly fps: number; readonly sink: string }>
> = {
  'GStreamer with rtmp2sink': {
    elements: pictures('width=160,height=90', 10, 'bframes=0') + sound(1),
    fps: 10,
    sink: 'rtmp2sink',
  },
  'GStreamer with rtmpsink, B-frames': {
    elements: pictures('width=90,height=160', 10, 'bframes=2 b-adapt=false') + sound(2),
    fps: 10,
    sink: 'rtmpsink',
  },
  'GStreamer, 60 fps, no sound': {
    elements: pictures('width=160,height=90', 60, 'bframes=0'),
    fps: 60,
    sink: 'rtmp2sink',
  },
}

function pictures(size: string, fps: number, options: string): string {
  const source = `videotestsrc num-buffers=${SECONDS * fps} pattern=ball`
  const coded = `x264enc speed-preset=ultrafast key-int-max=${2 * fps} ${options}`
  return `${source} ! video/x-raw,${size},framerate=${fps}/1 ! ${coded} ! h264parse ! queue ! mux. `
}

function sound(channels: number): string {
  // Of a hundredth of a second each.
  const source = `audiotestsrc num-buffers=${SECONDS * 100} samplesperbuffer=441`
  return `${source} ! audio/x-raw,rate=44100,channels=${channels} ! avenc_aac ! aacparse ! queue ! mux. `
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
  const segments = new Map<string, { bytes: Uint8Array; seconds: number; number: number }>()
  let firstAt = 0
  const look = async () => {
    const answer = await fetch(`${base}/stream/${stream}/${rendition}.m3u8`)
    const lines = answer.ok ? (await answer.text()).split('\n') : []
    if (lines.some((line) => line.startsWith('/')) && firstAt === 0) firstAt = performance.now()
    for (const [i, line] of lines.entries()) {
      if (!line.startsWith('/') || segments.has(line)) continue
      const bytes = new Uint8Array(await (await fetch(`${base}${line}`)).arrayBuffer())
      const seconds = Number.parseFloat(lines[i - 1]!.slice('#EXTINF:'.length))
      segments.set(line, { bytes, seconds, number: Number.parseInt(line.split('/').at(-1)!, 10) })
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
  // Frames keep the times that they have, instead of those of a frame rate that FFmpeg guesses.
  const times = ['-vsync', '0', '-enc_time_base', '-1']
  const decode = await run('ffmpeg', ['-v', 'error', '-i', path, ...times, '-f', 'null', '-'])
  return { frames: Number.parseInt(probe.stdout, 10), errors: probe.stderr + decode.stderr }
}

/** A program that publishes, and how many pictures a second it sends. */
interface Publishing {
  readonly fps: number
  start(url: string): ChildProcess
}

/** Publishes, follows the source and the rendition to their end, and checks that nothing is missing or torn. */
async function publishes(
  t: TestContext,
  nodes: Nodes,
  kind: string,
  { fps, start }: Publishing,
): Promise<void> {
  const stream = `m${kind.replace(/\W/g, '')}`
  const publisher = start(`${nodes.rtmp}/live/${stream}/key`)
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
    const path = join(nodes.folder, `${stream}-${rendition}.ts`)
    const { errors, frames: found } = await decoded(path, segments)
    const seconds = segments.reduce((sum, segment) => sum + segment.seconds, 0)
    t.diagnostic(
      `${kind}, ${rendition}: ${segments.length} segments, ${seconds.toFixed(3)} s, ${found} frames, first after ${Math.round(firstAt - connectedAt)} ms`,
    )
    assert.equal(errors, '', `${kind}, ${rendition}: ${errors}`)
    const numbers = segments.map(({ number }) => number).join()
    assert.ok(Math.abs(seconds - SECONDS) <= 1 / fps + 0.001, `${kind}: ${seconds} s in ${numbers}`)
    if (rendition === 'source') assert.equal(found, frames, kind)
    else assert.ok(Math.abs(found / 10 - SECONDS) <= 0.1 || found === frames, `${kind}: ${found} frames`)
    assertContinuous(kind, segments, 1 / (rendition === 'source' ? fps : 10))
  }
}

/** Each segment begins where the one before ends, to within a frame, and all of them last as long as the source. */
function assertContinuous(kind: string, segments: readonly { bytes: Uint8Array }[], frame: number): void {
  const spans = segments.map(({ bytes }) => segmentFacts(bytes, 'mpegts')!.span!)
  const apart = (from: number, to: number) => (((to - from + 2 ** 32) % 2 ** 33) - 2 ** 32) / 90_000
  for (const [i, { start }] of spans.slice(1).entries()) {
    const gap = apart(spans[i]!.end, start)
    assert.ok(Math.abs(gap) <= frame + 0.002, `${kind}: ${gap} s before segment ${i + 1}`)
  }
  const seconds = apart(spans[0]!.start, spans.at(-1)!.end)
  assert.ok(Math.abs(seconds - SECONDS) <= frame + 0.002, `${kind}: ${seconds} s on its clock`)
}

test('FFmpeg and GStreamer publish over RTMP, and every rendition has every frame, one behind the other', {
  skip: skips.ffmpeg,
}, async (t) => {
  const nodes = await startNodes(t)
  const wanted = <Value>(all: Readonly<Record<string, Value>>) =>
    Object.entries(all).filter(([kind]) => KINDS.test(kind))
  const all = wanted(kinds).map(([kind, { fps, input, output }]) => {
    const args = [
      '-hide_banner',
      '-nostdin',
      '-v',
      'error',
      '-re',
      ...input,
      '-t',
      String(SECONDS),
      ...output,
    ]
    return [kind, { fps, start: (url: string) => begin('ffmpeg', [...args, '-f', 'flv', url]) }] as const
  })
  const ofGStreamer = wanted(skips.gstreamer ? {} : pipelines).map(([kind, { elements, fps, sink }]) => {
    const words = `flvmux name=mux streamable=true ! ${sink} sync=true location=URL ${elements}`
      .trim()
      .split(' ')
    const start = (url: string) =>
      begin('gst-launch-1.0', ['-q', ...words.map((word) => word.replace('URL', url))])
    return [kind, { fps, start }] as const
  })
  const waiting = [...all, ...ofGStreamer]
  while (waiting.length > 0)
    await Promise.all(waiting.splice(0, AT_ONCE).map(([kind, one]) => publishes(t, nodes, kind, one)))
  assert.doesNotMatch(nodes.gateway.output, /\/key/)
})

function begin(program: string, args: readonly string[]): ChildProcess {
  return spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] })
}

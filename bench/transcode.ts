import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { Session } from 'node:inspector/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Profile, presetNamed } from '../src/domain/rendition.ts'
import { MediaEngine } from '../src/io/media/engine/engine.ts'
import { Sandbox } from '../src/io/media/sandbox/sandbox.ts'
import { systemClock } from '../src/lib/clock.ts'
import { silentLog } from '../src/lib/log.ts'
import { Supervisor } from '../src/lib/service.ts'
import { percentile, round } from './statistics.ts'

// Compares the engine with FFmpeg's command line, one process per segment: the same input, renditions and x264
// settings. Both take turns, segment by segment, so that other load affects both. `FFMPEG` names another program;
// `LADDERS=none` measures only the sessions side by side.

const FFMPEG = process.env.FFMPEG ?? 'ffmpeg'
const ROUNDS = Number(process.env.ROUNDS ?? 3)
const SEGMENTS = 5
const SEGMENT_S = 2
const SESSIONS = 4
/** Segments before the share of JavaScript is measured. */
const WARM_UPS = 5
const PROVIDER = 'Livepeer Transcoder bench (offchain)'
/** Ticks of CPU time per second in /proc. */
const TICKS_PER_S = 100

const small = ['P240p30fps16x9', 'P360p30fps16x9'].map(profileNamed)
const whole = [...small, profileNamed('P720p30fps16x9')]
const allLadders = [
  { name: '720p30 to 240p+360p', size: '1280x720', profiles: small },
  { name: '720p30 to 240p+360p+720p', size: '1280x720', profiles: whole },
  { name: '1080p30 to 240p+360p', size: '1920x1080', profiles: small },
  { name: '1080p30 to 240p+360p+720p', size: '1920x1080', profiles: whole },
]
const ladders = process.env.LADDERS === 'none' ? [] : allLadders

interface Spent {
  readonly wallMs: number
  readonly cpuS: number
  /** The part of this process: the engine's share in the node. */
  readonly nodeCpuS: number
}

const folder = await mkdtemp(join(tmpdir(), 'livepeer-bench-'))
const supervisor = new Supervisor()
// In the node's sandbox, or without one for `SANDBOX=off`.
const sandbox = await Sandbox.open({ mode: process.env.SANDBOX === 'off' ? 'off' : 'auto', log: silentLog })
const engine = new MediaEngine({
  ...{ clock: systemClock, log: silentLog, workers: availableParallelism(), sandbox },
})
try {
  await supervisor.start(engine)
  const sources = new Map<string, readonly string[]>()
  for (const { size } of ladders.length > 0 ? ladders : allLadders.slice(0, 1))
    if (!sources.has(size)) sources.set(size, await makeSource(size))
  const one: { name: string; ratio: number; cpuRatio: number }[] = []
  const latencies: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] }
  for (const { name, size, profiles } of ladders) {
    const ours: Spent[] = []
    const theirs: Spent[] = []
    await warmUp(sources.get(size)!, profiles, name)
    for (let turn = 0; turn < ROUNDS; turn++) {
      for (const [index, path] of sources.get(size)!.entries()) {
        const both = [
          async () => ours.push(await spent(async () => [await byEngine(path, profiles, name)])),
          async () => theirs.push(await spent(async () => [await byCommand(path, profiles)])),
        ]
        // The second one finds the machine as the first left it.
        for (const run of (turn + index) % 2 === 0 ? both : both.reverse()) await run()
      }
    }
    latencies.ours.push(...ours.map(({ wallMs }, i) => wallMs / theirs[i]!.wallMs))
    one.push({
      name,
      ratio: sum(theirs, wall) / sum(ours, wall),
      cpuRatio: sum(ours, cpu) / sum(theirs, cpu),
    })
    const times = ours.map(wall)
    console.log(
      `one session, ${name}: ${multiple(sum(theirs, wall) / sum(ours, wall))} the command line’s throughput, ${multiple(sum(ours, cpu) / sum(theirs, cpu))} its CPU time; a segment takes ${Math.round(percentile(times, 50))} ms (p99 ${Math.round(percentile(times, 99))}), there ${Math.round(percentile(theirs.map(wall), 50))} ms (p99 ${Math.round(percentile(theirs.map(wall), 99))})`,
    )
    latencies.theirs.push(percentile(times, 99) / percentile(times, 50))
  }

  const many = { ours: [] as Spent[], theirs: [] as Spent[] }
  const paths = sources.get('1280x720')!
  const sessions = Array.from({ length: SESSIONS }, (_, i) => `session ${i}`)
  await Promise.all(sessions.map((session) => warmUp(paths.slice(0, 2), whole, session)))
  for (let turn = 0; turn < ROUNDS; turn++) {
    const ours = async () =>
      many.ours.push(
        await spent(() =>
          Promise.all(
            sessions.map(async (session) => {
              for (const path of paths.slice(0, 3)) await byEngine(path, whole, session)
              return 0
            }),
          ),
        ),
      )
    const theirs = async () =>
      many.theirs.push(
        await spent(() =>
          Promise.all(
            sessions.map(async () => {
              let seconds = 0
              for (const path of paths.slice(0, 3)) seconds += await byCommand(path, whole)
              return seconds
            }),
          ),
        ),
      )
    for (const run of turn % 2 === 0 ? [ours, theirs] : [theirs, ours]) await run()
  }
  const four = {
    ratio: sum(many.theirs, wall) / sum(many.ours, wall),
    cpuRatio: sum(many.ours, cpu) / sum(many.theirs, cpu),
  }
  console.log(
    `${SESSIONS} sessions, 720p30 to 240p+360p+720p: ${multiple(four.ratio)} the command line’s throughput, ${multiple(four.cpuRatio)} its CPU time`,
  )

  const rssMb = engine.state.workers.reduce((total, { pid }) => total + rssMbOf(pid!), 0)
  const scriptShare = await javascriptShare(await readFile(paths[0]!), whole)
  const nodeShare = sum(many.ours, ({ nodeCpuS }) => nodeCpuS) / sum(many.ours, cpu)
  const engineCpuShare = scriptShare + nodeShare
  console.log(
    `of the CPU time ${round(scriptShare * 100)} % go to JavaScript in the workers and ${round(nodeShare * 100)} % to the node, which hands segments over and takes renditions back; the rest is FFmpeg’s; the workers hold ${rssMb} MB`,
  )
  console.log(
    JSON.stringify({
      ...(ladders.length > 0 && {
        oneSession: {
          ratio: round(Math.min(...one.map(({ ratio }) => ratio))),
          cpuRatio: round(Math.max(...one.map(({ cpuRatio }) => cpuRatio))),
          byLadder: Object.fromEntries(
            one.map(({ name, ratio, cpuRatio }) => [
              name,
              { ratio: round(ratio), cpuRatio: round(cpuRatio) },
            ]),
          ),
        },
        latency: {
          p50Ratio: round(percentile(latencies.ours, 50)),
          p99OverP50: round(Math.max(...latencies.theirs)),
        },
      }),
      fourSessions: { ratio: round(four.ratio), cpuRatio: round(four.cpuRatio) },
      engineCpuShare: Math.round(engineCpuShare * 10_000) / 10_000,
      rssMb,
    }),
  )
} finally {
  await supervisor.stop()
  await rm(folder, { recursive: true, force: true })
}

/** Segments of a moving picture and a tone, cut as a publisher's encoder does. */
async function makeSource(size: string): Promise<string[]> {
  const prefix = join(folder, size)
  const seconds = SEGMENTS * SEGMENT_S
  await run([
    ...['-f', 'lavfi', '-i', `testsrc2=s=${size}:r=30:d=${seconds}`],
    ...['-f', 'lavfi', '-i', `sine=440:r=48000:d=${seconds}`],
    ...['-vf', 'noise=alls=8:allf=t', '-c:v', 'libx264', '-preset', 'veryfast', '-b:v', '6000k'],
    ...['-g', '60', '-keyint_min', '60', '-sc_threshold', '0', '-c:a', 'aac'],
    ...['-f', 'segment', '-segment_time', String(SEGMENT_S), '-segment_format', 'mpegts', `${prefix}-%d.ts`],
  ])
  return (await readdir(folder))
    .filter((name) => name.startsWith(`${size}-`))
    .sort()
    .map((name) => join(folder, name))
}

/** Measures a node that has been running for a while: the first segments compile code and allocate memory. */
async function warmUp(
  paths: readonly string[],
  profiles: readonly Profile[],
  sessionId: string,
): Promise<void> {
  for (const path of paths) await byEngine(path, profiles, sessionId)
  await byCommand(paths[0]!, profiles)
}

/** The CPU time is that of the workers, which is counted separately. */
async function byEngine(path: string, profiles: readonly Profile[], sessionId: string): Promise<number> {
  const output = await engine.transcode(
    {
      ...{ sessionId, source: await readFile(path), profiles, provider: PROVIDER, clip: null },
      ...{ durationMs: SEGMENT_S * 1000, deadlineMs: 60_000, calcPerceptualHash: false },
    },
    AbortSignal.timeout(120_000),
  )
  if (output.renditions.length !== profiles.length) throw new Error('a rendition is missing')
  return 0
}

/** Resolves with the CPU seconds of the process. */
async function byCommand(path: string, profiles: readonly Profile[]): Promise<number> {
  const outputs = profiles.flatMap(({ width, bitrate, fps, name }) => [
    ...['-map', '0:v:0', '-map', '0:a:0', '-vf', `scale=${width}:-2,fps=${fps}`],
    ...['-c:v', 'libx264', '-preset', 'medium', '-b:v', `${bitrate}`, '-minrate', `${bitrate}`],
    ...['-maxrate', `${bitrate}`, '-bufsize', `${bitrate}`, '-c:a', 'copy', '-f', 'mpegts'],
    join(folder, `${name}-${crypto.randomUUID()}.out`),
  ])
  return await run(['-copyts', '-i', path, ...outputs])
}

/** Runs FFmpeg; resolves with its CPU seconds. */
async function run(args: readonly string[]): Promise<number> {
  const command = [FFMPEG, '-nostdin', '-v', 'error', '-y', ...args]
  const child = spawn('sh', ['-c', '"$@" || exit 1; times', 'sh', ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const text: string[] = []
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => text.push(chunk))
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${FFMPEG} failed: is it installed?`)
  const ofChildren = text.join('').trim().split('\n').at(-1)!
  return [...ofChildren.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (total, [, minutes, seconds]) => total + Number(minutes) * 60 + Number(seconds),
    0,
  )
}

/** Wall and CPU time of some work: of the workers, of this process, and what the work reports. */
async function spent(work: () => Promise<readonly number[]>): Promise<Spent> {
  const before = workersCpu()
  const own = process.cpuUsage()
  const started = performance.now()
  const reported = await work()
  const wallMs = performance.now() - started
  const { user, system } = process.cpuUsage(own)
  const reportedS = reported.reduce((total, seconds) => total + seconds, 0)
  const nodeCpuS = (user + system) / 1e6
  return { wallMs, nodeCpuS, cpuS: reportedS > 0 ? reportedS : workersCpu() - before + nodeCpuS }
}

function workersCpu(): number {
  return engine.state.workers.reduce((total, { pid }) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    return total + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S
  }, 0)
}

function rssMbOf(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Math.round(Number(kilobytes) / 1024)
}

/**
 * The part of a transcode's CPU time outside FFmpeg and its threads: JavaScript, its compiler and garbage collector.
 */
async function javascriptShare(source: Uint8Array, profiles: readonly Profile[]): Promise<number> {
  const { transcode } = await import('../src/io/media/worker/transcode.ts')
  const request = {
    source,
    profiles,
    provider: PROVIDER,
    clip: null,
    calcPerceptualHash: false,
    cores: availableParallelism(),
  }
  for (let i = 0; i < WARM_UPS; i++) await transcode(request, AbortSignal.timeout(60_000))
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: 500 })
  const before = process.cpuUsage()
  await session.post('Profiler.start')
  for (let i = 0; i < 3; i++) await transcode(request, AbortSignal.timeout(60_000))
  const { profile } = await session.post('Profiler.stop')
  const { user, system } = process.cpuUsage(before)
  session.disconnect()
  const isNative = new Map(
    profile.nodes.map(({ id, callFrame: { functionName, url } }) => [
      id,
      functionName !== '(garbage collector)' && url === '',
    ]),
  )
  const ours = profile.samples!.reduce(
    (total, id, i) => total + (isNative.get(id) ? 0 : profile.timeDeltas![i]!),
    0,
  )
  return ours / (user + system)
}

function profileNamed(name: string): Profile {
  return { ...presetNamed(name)!, format: 'mpegts' }
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0)
}

function wall({ wallMs }: Spent): number {
  return wallMs
}

function cpu({ cpuS }: Spent): number {
  return cpuS
}

function multiple(value: number): string {
  return `${value.toFixed(2)} ×`
}

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from '../../devnet/free-port.ts'
import type { NodeProcess } from '../../devnet/node-process.ts'
import type { NodeStatus } from '../../src/node/status/status.ts'
import { TestBrowser, type WatchedPage, WITHOUT_BROWSER } from '../net/browser.ts'
import { type LintedMedia, lintMaster, lintMedia, lintReload } from '../tools/playlist-lint.ts'
import { eventually } from '../tools/until.ts'
import { testNodes } from './nodes.ts'

/** hls.js in Chromium plays a stream to its end. PLAYBACK_SECONDS: how long the stream is. */

const run = promisify(execFile)
const SECONDS = Number(process.env.PLAYBACK_SECONDS ?? 16)
const FPS = 10
const RENDITIONS = [
  { name: 'small', width: 160, height: 90, bitrate: 60_000 },
  { name: 'middle', width: 256, height: 144, bitrate: 150_000 },
]
const SOURCE_HEIGHT = 180
const LISTS = ['source', 'small', 'middle']

const skip =
  WITHOUT_BROWSER ||
  (await run('ffmpeg', ['-version']).then(
    () => false,
    () => 'ffmpeg is not installed',
  ))

/** A page of another site with hls.js. */
const PAGE = `<!doctype html><title>player</title><video muted autoplay playsinline></video>
<script src="hls.js"></script><script>
const video = document.querySelector('video')
const hls = new Hls({ startLevel: 0, capLevelToPlayerSize: false })
const seen = { fatal: [], errors: [], switched: [], levels: [], ended: false, gaps: 0 }
hls.on(Hls.Events.ERROR, (_, { details, fatal }) => (fatal ? seen.fatal : seen.errors).push(details))
hls.on(Hls.Events.LEVEL_SWITCHED, (_, { level }) => seen.switched.push(hls.levels[level].height))
hls.on(Hls.Events.MANIFEST_PARSED, () => {
  seen.levels = hls.levels.map(({ codecs, frameRate, height, width }) => ({ codecs: codecs ?? '', frameRate, height, width }))
})
video.addEventListener('ended', () => { seen.ended = true })
const play = (url) => { hls.loadSource(url); hls.attachMedia(video) }
const turnTo = (height) => { hls.nextLevel = hls.levels.findIndex((level) => level.height === height) }
</script>`

interface Seen {
  readonly fatal: readonly string[]
  readonly errors: readonly string[]
  readonly switched: readonly number[]
  readonly levels: readonly {
    readonly codecs: string
    readonly frameRate: number
    readonly height: number
    readonly width: number
  }[]
  readonly ended: boolean
}

async function servePage(t: TestContext): Promise<string> {
  const script = readFileSync(createRequire(import.meta.url).resolve('hls.js/dist/hls.min.js'))
  const server = createServer((request, response) => {
    const isScript = request.url === '/hls.js'
    response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html')
    response.end(isScript ? script : PAGE)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close().closeAllConnections())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

async function startNodes(t: TestContext) {
  const { folder, node } = await testNodes(t)
  const [http, rtmp] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`]
  const profiles = join(folder, 'profiles.json')
  await writeFile(profiles, JSON.stringify(RENDITIONS))
  const orchestrators = await Promise.all(
    ['one', 'two'].map(async (name) => {
      const service = `127.0.0.1:${await freePort()}`
      const flags = ['-orchestrator', '-transcoder', '-maxSessions', '5', '-serviceAddr', service]
      const started = await node(name, flags)
      await started.start()
      return { node: started, service }
    }),
  )
  const gateway = await node('gateway', [
    ...['-gateway', '-httpAddr', http, '-rtmpAddr', rtmp, '-transcodingOptions', profiles],
    ...['-orchAddr', orchestrators.map(({ service }) => service).join()],
  ])
  await gateway.start()
  return { gateway, orchestrators: orchestrators.map((one) => one.node), base: `http://${http}`, rtmp }
}

/** Loads the lists as players do, and checks each, and each beside the one before. */
async function followLists(base: string, isOver: () => boolean): Promise<ReadonlyMap<string, LintedMedia[]>> {
  const loaded = new Map<string, LintedMedia[]>(LISTS.map((name) => [name, []]))
  while (!isOver()) {
    for (const [name, lists] of loaded) {
      const answer = await fetch(`${base}/stream/movie/${name}.m3u8`)
      if (!answer.ok) continue
      const list = lintMedia(await answer.text())
      const before = lists.at(-1)
      if (before) lintReload(before, list)
      lists.push(list)
    }
    await sleep(250)
  }
  return loaded
}

async function seenBy({ page }: WatchedPage): Promise<Seen> {
  return JSON.parse(await page.evaluate<string>('JSON.stringify(seen)')) as Seen
}

const heightIn = ({ page }: WatchedPage) => page.evaluate<number>('video.videoHeight')
const timeIn = ({ page }: WatchedPage) => page.evaluate<number>('video.currentTime')

/** Kills the orchestrator that transcodes the stream. */
async function killTheWorker(orchestrators: readonly NodeProcess[]): Promise<void> {
  const done = await Promise.all(
    orchestrators.map(async (node) => (await node.status<NodeStatus>()).segments!.transcoded),
  )
  const busiest = orchestrators[done.indexOf(Math.max(...done))]!
  assert.ok(Math.max(...done) > 0)
  await busiest.kill()
}

test('hls.js plays a stream live, in each of its levels, past the death of an orchestrator, and to its end', {
  skip,
}, async (t) => {
  const { base, gateway, orchestrators, rtmp } = await startNodes(t)
  const page = await servePage(t)
  await using browser = await TestBrowser.start()
  const picture = ['-f', 'lavfi', '-i', `testsrc=size=320x${SOURCE_HEIGHT}:rate=${FPS}`]
  const tone = ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=44100']
  const coded = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', String(2 * FPS)]
  const publishing = (seconds: number) => [
    ...['-hide_banner', '-nostdin', '-v', 'error', '-re', ...picture, ...tone, '-t', String(seconds)],
    ...[...coded, '-c:a', 'aac', '-ac', '1', '-f', 'flv', `rtmp://${rtmp}/movie/key`],
  ]
  const publisher = spawn('ffmpeg', publishing(SECONDS), { stdio: ['ignore', 'ignore', 'inherit'] })
  t.after(() => publisher.kill('SIGKILL'))
  const said = () => `\n${gateway.output.slice(-3000)}`
  let isOver = false
  const lists = followLists(base, () => isOver)
  // It is waited for at the end, and must not be lost before.
  lists.catch(() => {})

  await eventually(`all variants${said()}`, async () => {
    const answer = await fetch(`${base}/stream/movie.m3u8`)
    return answer.ok && lintMaster(await answer.text()).variants.length === LISTS.length
  })
  const { variants } = lintMaster(await (await fetch(`${base}/stream/movie.m3u8`)).text())
  assert.deepEqual(
    variants.map(({ attributes }) => [attributes.get('RESOLUTION'), attributes.get('FRAME-RATE')]),
    [
      ['320x180', '10.000'],
      ['160x90', '10.000'],
      ['256x144', '10.000'],
    ],
  )
  for (const { attributes } of variants)
    assert.match(attributes.get('CODECS') ?? '', /^"avc1\.[0-9a-f]{6},mp4a\.40\.2"$/)

  // It ends at once, and the stream goes on.
  await assert.rejects(run('ffmpeg', publishing(SECONDS)), 'a second publisher of the name')

  await using shown = await browser.open(page)
  await shown.page.evaluate(`play(${JSON.stringify(`${base}/stream/movie.m3u8`)})`)
  await eventually(`it plays${said()}`, async () => (await timeIn(shown)) > 0.5)
  const began = await timeIn(shown)
  const clock = performance.now()
  for (const height of [SOURCE_HEIGHT, 90, 144]) {
    await shown.page.evaluate(`turnTo(${height})`)
    await eventually(`level ${height}`, async () => (await heightIn(shown)) === height)
  }
  await killTheWorker(orchestrators)
  await eventually(
    'the end',
    async () => {
      const { ended, fatal } = await seenBy(shown)
      assert.deepEqual(fatal, [])
      return ended
    },
    (SECONDS + 60) * 1000,
  ).catch((error) => {
    throw new Error(`${error}${said()}`)
  })
  const tookMs = performance.now() - clock
  isOver = true
  const loaded = await lists
  const seen = await seenBy(shown)
  const end = await timeIn(shown)
  t.diagnostic(
    `played ${began.toFixed(1)} s to ${end.toFixed(1)} s in ${(tookMs / 1000).toFixed(1)} s, levels ${seen.switched}, errors ${seen.errors}`,
  )
  assert.deepEqual(
    seen.levels.map(({ frameRate, height, width }) => `${width}x${height} ${frameRate}`).sort(),
    ['160x90 10', '256x144 10', '320x180 10'],
  )
  // The sound ends a little after the last picture.
  assert.ok(Math.abs(end - SECONDS) <= 0.5, `${end} s`)
  for (const [name, all] of loaded) {
    const segments = new Map(all.flatMap((list) => list.segments).map((segment) => [segment.number, segment]))
    const seconds = [...segments.values()].reduce((sum, segment) => sum + segment.seconds, 0)
    assert.ok(all.at(-1)!.isEnded && all.every(({ isIndependent }) => isIndependent), name)
    assert.ok(Math.abs(seconds - SECONDS) <= 1 / FPS, `${name}: ${seconds} s in ${segments.size} segments`)
    assert.ok(
      [...segments.values()].every(({ stretch }) => stretch === 0),
      name,
    )
  }
})

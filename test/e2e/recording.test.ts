import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../devnet/free-port.ts'
import { look, makeSegments } from '../media/media.ts'
import { eventually } from '../tools/until.ts'
import { testNodes } from './nodes.ts'

/** A gateway that records into a folder, as a process that is killed. KILLS: how often. */

const KILLS = Number(process.env.RECORDING_KILLS ?? 2)
const SEGMENTS = 5
/** The source alone: nothing is bought. */
const CONFIG = { 'Livepeer-Transcode-Configuration': '{"profiles":[]}', 'Content-Duration': '1000' }

test('a recording of a gateway that is killed has every segment but that in flight, and goes on after it', async (t) => {
  const { folder, node } = await testNodes(t)
  const http = `127.0.0.1:${await freePort()}`
  const store = join(folder, 'recordings')
  const gateway = await node('gateway', [
    ...['-gateway', '-orchAddr', '127.0.0.1:1', '-httpAddr', http],
    ...['-recordStore', store, '-recordRetention', '24h'],
  ])
  const segments = await makeSegments(SEGMENTS, { width: 160, height: 90, fps: 10, durationMs: 1_000 })
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`http://${http}/recordings/show/${path}`, { headers })
  const listed = async () =>
    (await (await get('source.m3u8')).text()).split('\n').filter((line) => line.endsWith('.ts'))
  let atLeast = 0
  for (let life = 1; life <= KILLS + 1; life++) {
    await gateway.start()
    for (const [number, bytes] of segments.entries()) {
      const url = `http://${http}/live/show/${number}.ts`
      const { status } = await fetch(url, {
        method: 'PUT',
        headers: CONFIG,
        body: bytes as Uint8Array<ArrayBuffer>,
      })
      assert.equal(status, 200)
      if (number < SEGMENTS - 1) await sleep(300)
    }
    if (life > KILLS) break
    await gateway.kill()
    // What was answered last may have been in flight.
    atLeast += SEGMENTS - 1
  }
  atLeast += SEGMENTS
  await eventually('the whole recording', async () => (await listed()).length >= atLeast)
  const playlist = await (await get('source.m3u8')).text()
  assert.equal(playlist.split('#EXT-X-DISCONTINUITY\n').length, KILLS + 1)
  for (const uri of await listed()) {
    const number = Number(/(\d+)\.ts$/.exec(uri)![1])
    const bytes = Buffer.from(await (await get(uri)).arrayBuffer())
    assert.ok(bytes.equals(segments[number]!), uri)
  }
  const whole = await get('source.mp4')
  const movie = Buffer.from(await whole.arrayBuffer())
  assert.equal(whole.headers.get('content-length'), String(movie.length))
  const { video } = await look(movie)
  assert.equal(video.length, (await listed()).length * 10)
  const part = await get('source.mp4', {
    Range: `bytes=100000-200000`,
    'If-Range': whole.headers.get('etag')!,
  })
  assert.equal(part.status, 206)
  assert.ok(Buffer.from(await part.arrayBuffer()).equals(movie.subarray(100_000, 200_001)))
})

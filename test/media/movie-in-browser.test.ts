import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { GrowingIndex, indexName } from '../../src/domain/recording-index.ts'
import { playRecording } from '../../src/io/http/recordings.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLog } from '../../src/lib/log.ts'
import { RecordStores } from '../../src/services/recordings/record-store.ts'
import { Recordings } from '../../src/services/recordings/recordings.ts'
import { FakeRecordStore } from '../fakes/record-store.ts'
import { TestBrowser, WITHOUT_BROWSER } from '../net/browser.ts'
import { makeSegments } from './media.ts'

const COUNT = 5

test('a browser plays a recording as one MP4, knows how long it is, and goes to any time', {
  skip: WITHOUT_BROWSER,
}, async () => {
  const store = new FakeRecordStore()
  const index = new GrowingIndex()
  const segments = await makeSegments(COUNT, { fps: 25, bFrames: 2 })
  for (const [number, bytes] of segments.entries()) {
    const uri = await store.save(`show/n/source/${number}.ts`, bytes)
    index.add(
      { name: 'source', bandwidth: 1, resolution: '256x144' },
      { sequence: BigInt(number), uri, durationMs: 2_000 },
    )
  }
  await store.save(`show/n/${indexName(1n)}`, Buffer.from(index.text()))
  const stores = new RecordStores({ own: store, open: () => store })
  const needs = { clock: systemClock, log: silentLog, authority: null, recorder: { underWay: () => [] } }
  const recordings = new Recordings({ ...needs, stores })
  const ranges: string[] = []
  const server = createServer((request, response) => {
    if (request.url === '/') {
      response.setHeader('Content-Type', 'text/html')
      return void response.end('<!doctype html><link rel="icon" href="data:,"><video muted></video>')
    }
    ranges.push(request.headers.range ?? '')
    const asked = { path: request.url!, url: request.url! }
    const stopping = new AbortController().signal
    void playRecording(request, response, asked, { recordings, log: silentLog, stopping })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  try {
    await using browser = await TestBrowser.start()
    await using watched = await browser.open(base)
    const seen = await watched.page.evaluate(`(async () => {
      const video = document.querySelector('video')
      const when = (name) => new Promise((resolve, reject) => {
        video.addEventListener(name, resolve, { once: true })
        video.addEventListener('error', () => reject(new Error(video.error.message)), { once: true })
      })
      const loaded = when('loadeddata')
      video.src = '/recordings/show/source.mp4'
      await loaded
      const first = { duration: video.duration, width: video.videoWidth, height: video.videoHeight }
      const places = []
      for (const time of [7.3, 1.1, 9.5]) {
        const there = when('seeked')
        video.currentTime = time
        await there
        places.push([video.currentTime, video.readyState >= 2])
      }
      const ended = when('ended')
      await video.play()
      await ended
      return { ...first, places, end: video.currentTime }
    })()`)
    const { duration, end, height, places, width } = seen as Record<string, number> & { places: unknown }
    assert.deepEqual([width, height], [256, 144])
    assert.ok(Math.abs(duration! - 2 * COUNT) < 0.3, `${duration} s`)
    assert.deepEqual(
      places,
      [7.3, 1.1, 9.5].map((time) => [time, true]),
    )
    assert.ok(Math.abs(end! - duration!) < 0.3, `${end} s`)
    assert.deepEqual(watched.errors, [])
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

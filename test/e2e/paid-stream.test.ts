import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Network } from '../../devnet/network.ts'
import { pushSegment } from '../../devnet/publisher.ts'
import { probe as probeSegment } from '../../src/io/media/worker/probe.ts'
import type { GatewayStatus, OrchestratorStatus } from '../../src/node/status/status.ts'
import { wideClip } from '../media/clips.ts'
import { makeSegment } from '../media/media.ts'
import { until } from '../tools/until.ts'
import { confirm } from './settle.ts'
import { EVERY_TICKET_WINS } from './tiny-stream.ts'

/** Real processes, a real chain with the protocol's contracts, real video. */

const SEGMENT_MS = 2_000
/** Params are valid for 40 L1 blocks; then their tickets may be redeemed. */
const PARAMS_LIFETIME = 45

let folder: string
let network: Network

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'livepeer-e2e-'))
  network = await Network.prepare({
    roundLength: 1_000n,
    orchestratorFlags: [...EVERY_TICKET_WINS.orchestrator, '-pricePerUnit', '1200000000'],
    logFolder: join(folder, 'logs'),
  })
  await network.orchestrator.start()
  await network.gateway.start()
})

after(async () => {
  await network?.stop()
  await rm(folder, { recursive: true, force: true })
})

test('segments are returned as playable renditions, and the playlists follow the stream', async () => {
  for (let seq = 0; seq < 8; seq++) {
    const bytes = await makeSegment({
      width: 640,
      height: 360,
      fps: 30,
      durationMs: SEGMENT_MS,
      startMs: seq * SEGMENT_MS,
      audio: true,
    })
    const pushed = await pushSegment(network.urls.gateway, 'show', { seq, durationMs: SEGMENT_MS, bytes })
    assert.equal(pushed.status, 200, pushed.text)
    const sizes = await Promise.all(
      pushed.renditions.map(async (rendition) => {
        const { width, height, videoCodec, audioCodec } = await probeSegment(rendition)
        return `${width}x${height} ${videoCodec} ${audioCodec}`
      }),
    )
    assert.deepEqual(sizes, ['256x144 h264 aac', '426x240 h264 aac'])
  }
  const master = await text(`${network.urls.gateway}/stream/show.m3u8`)
  assert.match(master, /^#EXTM3U\n#EXT-X-VERSION:3\n/)
  for (const variant of ['source', 'P144p30fps16x9', 'P240p30fps16x9'])
    assert.match(master, new RegExp(`show/${variant}.m3u8`))
  const playlist = await text(`${network.urls.gateway}/stream/show/P240p30fps16x9.m3u8`)
  assert.match(playlist, /#EXT-X-MEDIA-SEQUENCE:2\n/, 'the window of six has moved on')
  const uris = playlist.split('\n').filter((line) => line.startsWith('/stream/'))
  assert.deepEqual(
    uris,
    [2, 3, 4, 5, 6, 7].map((seq) => `/stream/show/P240p30fps16x9/${seq}.ts`),
  )
  const newest = await fetch(network.urls.gateway + uris.at(-1)!)
  assert.equal(newest.headers.get('access-control-allow-origin'), '*')
  const probe = await probeSegment(new Uint8Array(await newest.arrayBuffer()))
  assert.equal(`${probe.width}x${probe.height}`, '426x240')
})

test('every accepted ticket is redeemed on chain for its full face value', async () => {
  const { ticketsAccepted } = await network.gateway.status<GatewayStatus>()
  assert.ok(ticketsAccepted >= 8, `${ticketsAccepted} tickets paid for 8 segments`)
  await network.anvil.mine(PARAMS_LIFETIME)
  const totals = await until(async () => {
    const totals = await network.protocol.redemptions()
    return totals.redeemed >= ticketsAccepted ? totals : null
  })
  assert.equal(totals.redeemed, ticketsAccepted)
  assert.equal(totals.paid, totals.faceValue)
  assert.equal(totals.faceValue, 10_000_000_000_000_001n * BigInt(ticketsAccepted))
  await confirm(network)
  const { tickets } = await until(async () => {
    const status = await network.orchestrator.status<OrchestratorStatus>()
    return status.tickets.redeemed === ticketsAccepted ? status : null
  })
  assert.deepEqual(
    { won: tickets.won, open: tickets.open, submitted: tickets.submitted, refused: tickets.refused },
    { won: ticketsAccepted, open: 0, submitted: 0, refused: 0 },
  )
})

test('a clip of 4:2:2 pictures with several key frames comes back playable', async () => {
  const bytes = await wideClip()
  const pushed = await pushSegment(network.urls.gateway, 'wide', { seq: 0, durationMs: 7_300, bytes })
  assert.equal(pushed.status, 200, pushed.text)
  const probes = await Promise.all(pushed.renditions.map((rendition) => probeSegment(rendition)))
  assert.deepEqual(
    probes.map(({ width, height }) => `${width}x${height}`),
    ['256x144', '426x240'],
  )
})

async function text(url: string): Promise<string> {
  const response = await fetch(url)
  assert.equal(response.status, 200, url)
  return response.text()
}

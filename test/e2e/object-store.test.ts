import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../devnet/free-port.ts'
import { pushSegment } from '../../devnet/publisher.ts'
import { parseStoreAddress } from '../../src/domain/store-address.ts'
import { openStore } from '../../src/io/objects/open-store.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemDice } from '../../src/lib/dice.ts'
import { makeSegment } from '../media/media.ts'
import { NO_S3_SERVER, S3Server } from '../net/s3-server.ts'
import { WebhookServer } from '../net/webhook-server.ts'
import { eventually } from '../tools/until.ts'
import { testNodes } from './nodes.ts'
import { writeTinyProfiles } from './tiny-stream.ts'

/**
 * A gateway with `-objectStore` and an orchestrator, started by the commands of an operator; offchain. STORE_OUTAGE_MS: for how
 * long the server is away.
 */

const OUTAGE_MS = Number(process.env.STORE_OUTAGE_MS ?? 0)
const skip = NO_S3_SERVER
const SIZE = { width: 160, height: 90, fps: 10, durationMs: 1_000 }

test('an orchestrator saves into the gateway’s S3 itself, and a server that is killed holds up no stream', {
  skip,
}, async (t) => {
  const server = await S3Server.open()
  t.after(() => server[Symbol.asyncDispose]())
  const { folder, node } = await testNodes(t)
  const [service, http] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`]
  const verifier = await WebhookServer.open()
  t.after(() => verifier[Symbol.asyncDispose]())
  /** What the verifier gets at the URLs that it is told. */
  const judged: Promise<Uint8Array[]>[] = []
  verifier.answer = ({ body }) => {
    const { renditions, source } = JSON.parse(body) as { source: string; renditions: { uri: string }[] }
    const urls = [source, ...renditions.map(({ uri }) => uri)]
    const fetched = urls.map(async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer()))
    judged.push(Promise.all(fetched).catch(() => []))
    return { body: JSON.stringify({ results: renditions.map(() => ({ tamper: 0 })) }), delayMs: 200 }
  }
  const orchestrator = await node('orchestrator', [
    ...['-orchestrator', '-transcoder', '-serviceAddr', service, '-uriSegments', server.at],
  ])
  const gateway = await node('gateway', [
    ...['-gateway', '-orchAddr', service, '-httpAddr', http, '-objectStore', server.addressOf('/live')],
    ...['-transcodingOptions', await writeTinyProfiles(join(folder, 'profiles.json'))],
    ...['-verifierUrl', verifier.url],
  ])
  await Promise.all([orchestrator.start(), gateway.start()])
  const bytes = await makeSegment(SIZE)
  const push = async (sequence: number) => {
    const segment = { seq: sequence, bytes, durationMs: SIZE.durationMs }
    const { status, text } = await pushSegment(`http://${http}`, 'movie', segment)
    assert.equal(status, 200, text)
  }
  const list = async (track: string) =>
    await (await fetch(`http://${http}/stream/movie/${track}.m3u8`)).text()
  const uris = async (track: string) => (await list(track)).split('\n').filter((line) => /^[^#]/.test(line))
  const store = openStore(
    parseStoreAddress(server.addressOf('/live')),
    { isPublic: true },
    { clock: systemClock, dice: systemDice },
  )
  const paths = async () => (await store.list('')).files.map(({ path }) => path)

  for (const sequence of [0, 1]) await push(sequence)
  assert.equal(judged.length, 2)
  await eventually('the copies for the verifier are removed', async () => (await paths()).length === 4)
  const saved = await paths()
  const session = saved.find((path) => path.endsWith('/tiny/0.ts'))!.split('/')[1]!
  assert.match(session, /^[0-9a-f]{8}$/, 'the orchestrator saved it: its folder is its session')
  const base = `http://${server.at}/bucket/live/movie`
  assert.deepEqual(await uris('source'), [`${base}/source/0.ts`, `${base}/source/1.ts`])
  assert.deepEqual(await uris('tiny'), [`${base}/${session}/tiny/0.ts`, `${base}/${session}/tiny/1.ts`])
  for (const uri of [...(await uris('source')), ...(await uris('tiny'))])
    assert.equal((await fetch(uri)).status, 200)
  const [source, rendition] = await judged[1]!
  assert.deepEqual(Buffer.from(source!), Buffer.from(bytes))
  const played = await (await fetch(`${base}/${session}/tiny/1.ts`)).arrayBuffer()
  assert.deepEqual(Buffer.from(rendition!), Buffer.from(played), 'it judges what is played')

  await server.kill()
  const backMs = Date.now() + OUTAGE_MS
  let sequence = 2
  for (; sequence < 5 || Date.now() < backMs; sequence++) {
    const sinceMs = Date.now()
    await push(sequence)
    await sleep(Math.min(OUTAGE_MS, Math.max(0, sinceMs + SIZE.durationMs - Date.now())))
  }
  for (const track of ['source', 'tiny']) {
    const here = (await uris(track)).slice(-3)
    assert.deepEqual(
      here,
      [3, 2, 1].map((before) => `/stream/movie/${track}/${sequence - before}.ts`),
    )
    for (const uri of here) assert.equal((await fetch(`http://${http}${uri}`)).status, 200)
  }
  await server.start()
  const from = sequence
  await eventually('the store is used again', async () => {
    await push(sequence++)
    return (await uris('source')).at(-1)!.startsWith(base)
  })
  assert.ok(sequence < from + 60, 'within seconds')

  const logs = [orchestrator, gateway].map((process) => process.output).join('')
  assert.match(logs, /object store fails/)
  assert.match(logs, /verifier of results fails .*the files for it could not be written: s3\+http:/)
  assert.doesNotMatch(logs, /SECRET/)
  assert.doesNotMatch(JSON.stringify(await gateway.status()), /SECRET/)
})

test('a folder holds what a stream published', async (t) => {
  const { folder, node } = await testNodes(t)
  const http = `127.0.0.1:${await freePort()}`
  const store = join(folder, 'segments')
  const gateway = await node('gateway', ['-gateway', '-httpAddr', http, '-objectStore', store])
  await gateway.start()
  const bytes = await makeSegment(SIZE)
  await pushSegment(`http://${http}`, 'movie', { seq: 0, bytes, durationMs: SIZE.durationMs })
  const files = () => readdir(join(store, 'movie/source')).catch(() => [])
  await eventually('its source is saved', async () => (await files()).join() === '0.ts')
  const list = await (await fetch(`http://${http}/stream/movie/source.m3u8`)).text()
  assert.match(list, /\n\/stream\/movie\/source\/0\.ts\n/)
})

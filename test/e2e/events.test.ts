import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freePort } from '../../devnet/free-port.ts'
import { eventually } from '../tools/until.ts'
import { testNodes } from './nodes.ts'

test('a gateway whose Kafka is away says why, and serves its streams', async (t) => {
  const { node } = await testNodes(t)
  const [http, kafka] = [await freePort(), await freePort()]
  const gateway = await node('gateway', [
    ...[
      '-gateway',
      '-orchAddr',
      '127.0.0.1:1',
      '-httpAddr',
      `127.0.0.1:${http}`,
      '-rtmpAddr',
      'none',
      '-monitor',
    ],
    ...['-kafkaBootstrapServers', `127.0.0.1:${kafka}`, '-kafkaGatewayTopic', 'livepeer'],
  ])
  await gateway.start()
  const push = (number: number) =>
    fetch(`http://127.0.0.1:${http}/live/movie/${number}.ts`, { method: 'PUT', body: 'x' })
  await push(0)
  // Also from the bundle, where the library of Kafka must find its files.
  const failed =
    /INFO {2}events cannot be published, retrying {2}broker=127\.0\.0\.1:\d+ reason=.*ECONNREFUSED/
  await eventually('the reason', () => failed.test(gateway.output))
  await push(1)
  const master = await fetch(`http://127.0.0.1:${http}/stream/movie.m3u8`)
  assert.equal(master.status, 200)
  assert.doesNotMatch(gateway.output, / ERROR /)
})

import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { ByteBudget } from '../../lib/request-body.ts'
import { KeptBody } from './kept-body.ts'
import type { HttpRequest } from './server-response.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))
const bytes = (text: string, count: number) => Buffer.alloc(count, text)

/** A body of which a part has come. */
function begun(maxBytes: number) {
  const request = new PassThrough()
  const room = new ByteBudget(maxBytes)
  const body = new KeptBody(request as unknown as HttpRequest, room)
  request.write(bytes('a', 40_000))
  return { request, room, body }
}

test('a body is sent from its beginning to each target in turn, and on as it comes', async () => {
  const { body, request, room } = begun(1_000_000)
  const first = new PassThrough({ highWaterMark: 1 })
  void body.sendTo(first)
  first.resume()
  await turn()
  request.write(bytes('b', 30_000))
  await turn()
  body.stop()
  request.write(bytes('c', 20_000))
  await turn()
  const second = new PassThrough({ highWaterMark: 1 })
  void body.sendTo(second)
  const received = second.toArray()
  request.end(bytes('d', 10_000))
  const all = Buffer.concat(await received)
  assert.ok(
    all.equals(
      Buffer.concat([bytes('a', 40_000), bytes('b', 30_000), bytes('c', 20_000), bytes('d', 10_000)]),
    ),
  )
  assert.equal(body.isKept, true)
  assert.equal(room.held, 100_000)
  const third = new PassThrough()
  void body.sendTo(third)
  assert.equal(Buffer.concat(await third.toArray()).length, 100_000, 'also once it has ended')
})

test('a body for which there is no room is sent once', async () => {
  const { body, request, room } = begun(50_000)
  const target = new PassThrough()
  void body.sendTo(target)
  request.end(bytes('b', 30_000))
  assert.equal(Buffer.concat(await target.toArray()).length, 70_000)
  assert.equal(body.isKept, false)
  assert.ok(room.held <= 50_000)
})

test('a target that is closed gets no more, and the body waits for the next', async () => {
  const { body, request } = begun(1_000_000)
  const gone = new PassThrough()
  gone.on('error', () => {})
  gone.destroy()
  await body.sendTo(gone)
  body.stop()
  const next = new PassThrough()
  void body.sendTo(next)
  request.end()
  assert.equal(Buffer.concat(await next.toArray()).length, 40_000)
})

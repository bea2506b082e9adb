import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settle } from '../../../lib/clock.ts'
import { BoundedQueue } from './bounded-queue.ts'

function queueOf(limit: number) {
  const discarded: number[] = []
  return { queue: new BoundedQueue<number>(limit, (item) => discarded.push(item)), discarded }
}

test('a push waits until there is room', async () => {
  const { queue } = queueOf(2)
  const pushed: number[] = []
  const producer = (async () => {
    for (const item of [1, 2, 3, 4]) {
      await queue.push(item)
      pushed.push(item)
    }
    queue.end()
  })()
  await settle()
  assert.deepEqual(pushed, [1, 2])
  const taken: number[] = []
  for (let item = await queue.take(); item !== null; item = await queue.take()) taken.push(item)
  await producer
  assert.deepEqual(taken, [1, 2, 3, 4])
})

test('a failure reaches both ends, and queued items are discarded', async () => {
  const { queue, discarded } = queueOf(2)
  await queue.push(1)
  await queue.push(2)
  const blocked = queue.push(3)
  queue.fail(new Error('encoder gone'))
  await assert.rejects(blocked, /encoder gone/)
  await assert.rejects(queue.push(4), /encoder gone/)
  await assert.rejects(queue.take(), /encoder gone/)
  assert.deepEqual(discarded, [1, 2, 3, 4])
})

test('a waiting consumer is told of the end', async () => {
  const { queue } = queueOf(1)
  const waiting = queue.take()
  queue.end()
  assert.equal(await waiting, null)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settle } from './clock.ts'
import { Turns } from './turns.ts'

function world() {
  const turns = new Turns()
  const begun: string[] = []
  const ends = new Map<string, PromiseWithResolvers<string>>()
  const take = (name: string, key: string, durationMs = 2_000) => {
    const end = Promise.withResolvers<string>()
    ends.set(name, end)
    const work = async () => {
      begun.push(name)
      return await end.promise
    }
    return turns.take(key, work, durationMs)
  }
  return { turns, begun, take, end: (name: string) => ends.get(name)! }
}

test('work of one key runs in order and never two at once, work of other keys meanwhile', async () => {
  const { begun, end, take } = world()
  const work = [take('a1', 'a'), take('a2', 'a'), take('b1', 'b')]
  await settle()
  assert.deepEqual(begun, ['a1', 'b1'])
  end('b1').resolve('b')
  assert.equal(await work[2], 'b')
  await settle()
  assert.deepEqual(begun, ['a1', 'b1'])
  end('a1').resolve('first')
  assert.equal(await work[0], 'first')
  await settle()
  assert.deepEqual(begun, ['a1', 'b1', 'a2'])
  end('a2').resolve('second')
  assert.equal(await work[1], 'second')
})

test('work that fails hands the turn on', async () => {
  const { begun, end, take } = world()
  const first = take('a1', 'a')
  const second = take('a2', 'a')
  end('a1').reject(new Error('broken'))
  await assert.rejects(first, { message: 'broken' })
  end('a2').resolve('second')
  assert.equal(await second, 'second')
  assert.deepEqual(begun, ['a1', 'a2'])
})

test('what runs and what waits is counted until it has ended', async () => {
  const { turns, end, take } = world()
  const work = [take('a1', 'a', 2_000), take('a2', 'a', 3_000)]
  assert.deepEqual(turns.of('a'), { count: 2, durationMs: 5_000 })
  assert.deepEqual(turns.of('b'), { count: 0, durationMs: 0 })
  end('a1').resolve('')
  await work[0]
  assert.deepEqual(turns.of('a'), { count: 1, durationMs: 3_000 })
  end('a2').resolve('')
  await work[1]
  assert.deepEqual(turns.of('a'), { count: 0, durationMs: 0 })
  const third = take('a3', 'a')
  end('a3').resolve('third')
  assert.equal(await third, 'third')
})

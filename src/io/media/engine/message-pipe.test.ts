import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { framed } from '../../../../test/workers/framed.ts'
import { seededDice } from '../../../lib/dice.ts'
import { MessagePipe } from './message-pipe.ts'

/** What is heard of bytes that come in the given pieces. */
async function heard(pieces: readonly Uint8Array[]): Promise<{ messages: unknown[]; nonsense: string[] }> {
  const pipe = new PassThrough()
  const all = { messages: [] as unknown[], nonsense: [] as string[] }
  new MessagePipe(pipe, {
    message: (message) => void all.messages.push(message),
    nonsense: (why) => void all.nonsense.push(why),
  })
  for (const piece of pieces) pipe.write(piece)
  pipe.end()
  await new Promise((resolve) => pipe.once('close', resolve))
  return all
}

const messages = [
  { id: 1, task: { kind: 'probe', payload: new Uint8Array([1, 2, 3]) } },
  { pixels: 10n ** 20n, text: 'ü', nothing: null, missing: undefined },
  new Uint8Array(200_000).fill(7),
]

test('what is sent comes out on the other side, whatever the pieces', async () => {
  const bytes = framed(...messages)
  for (const size of [1, 3, 4, 5, 1000, bytes.length]) {
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
      bytes.subarray(index * size, (index + 1) * size),
    )
    assert.deepEqual(await heard(pieces), { messages, nonsense: [] })
  }
  const pipe = new PassThrough()
  const received: unknown[] = []
  const ends = new MessagePipe(pipe, { message: (message) => received.push(message), nonsense: assert.fail })
  for (const message of messages) ends.send(message)
  await new Promise(setImmediate)
  assert.deepEqual(received, messages)
})

test('lengths that are none end the reading before any memory is taken', async () => {
  for (const head of [
    [0, 0, 0, 0],
    [0xff, 0xff, 0xff, 0xff],
    [1, 0, 0, 0x40],
  ]) {
    const { messages: none, nonsense } = await heard([Uint8Array.from(head), framed(...messages)])
    assert.deepEqual(none, [])
    assert.equal(nonsense.length, 1)
    assert.match(nonsense[0]!, /^a message of \d+ bytes$/)
  }
})

test('whatever bytes come, reading them throws nothing, and after nonsense nothing more is heard', async () => {
  const dice = seededDice('messages')
  const below = (limit: number) => Math.floor(dice.fraction() * limit)
  const valid = framed(...messages.slice(0, 2))
  let misread = 0
  for (let round = 0; round < 2_000; round++) {
    const bytes = Buffer.from(valid)
    for (let count = 0; count <= below(6); count++) bytes[4 + below(bytes.length - 4)] = below(256)
    const { messages: got, nonsense } = await heard([bytes.subarray(0, 1 + below(bytes.length)), bytes])
    assert.ok(nonsense.length <= 1)
    if (nonsense.length === 1) misread++
    assert.ok(got.length <= 4)
  }
  assert.ok(misread > 500, String(misread))
})

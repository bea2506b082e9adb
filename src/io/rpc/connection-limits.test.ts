import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { ConnectionLimits, connectionOf } from './connection-limits.ts'

/** A socket with only an address and an end. */
class FakeSocket extends EventEmitter {
  isOpen = true
  readonly remoteAddress: string
  readonly remotePort: number

  constructor(remoteAddress: string, remotePort: number) {
    super()
    this.remoteAddress = remoteAddress
    this.remotePort = remotePort
  }

  destroy(): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.emit('close')
  }
}

function world(options: { connections?: number; perHost?: number } = {}) {
  const limits = new ConnectionLimits({ connections: 4, perHost: 3, firstRequestMs: 60_000, ...options })
  let port = 1
  const open = (host: string) => {
    const fake = new FakeSocket(host, port++)
    const socket = fake as unknown as Socket
    const isTaken = limits.accept(socket)
    return { fake, isTaken, connection: connectionOf(socket), close: () => fake.destroy() }
  }
  return { limits, open }
}

test('a host’s new connection replaces the one that has been idle longest', () => {
  const { open } = world()
  const [a, b, c] = [open('a'), open('a'), open('a')]
  a.connection!.begin()()
  const d = open('a')
  assert.deepEqual(
    [a, b, c, d].map(({ fake }) => fake.isOpen),
    [true, false, true, true],
  )
  for (const { close } of [a, c, d]) close()
})

test('if all connections of a host are busy a new one is refused until an exchange ends', () => {
  const { limits, open } = world()
  const busy = [open('a'), open('a'), open('a')]
  const ends = busy.map(({ connection }) => connection!.begin())
  assert.equal(open('a').isTaken, false)
  const other = open('b')
  assert.equal(other.isTaken, true)
  ends[1]!()
  ends[1]!()
  const next = open('a')
  assert.equal(next.isTaken, true)
  assert.equal(busy[1]!.fake.isOpen, false)
  assert.equal(limits.size, 4)
  for (const { close } of [...busy, other, next]) close()
  assert.equal(limits.size, 0)
})

test('if all places are taken, the connection that has been idle longest is closed, of any host', () => {
  const { open } = world()
  const opened = [open('a'), open('b'), open('c'), open('d')]
  const next = open('e')
  assert.deepEqual(
    [...opened, next].map(({ fake }) => fake.isOpen),
    [false, true, true, true, true],
  )
  for (const { close } of [...opened, next]) close()
})

test('a peer of the operator counts against no host and is never closed for others', () => {
  const { open } = world({ perHost: 1, connections: 3 })
  const own = open('a')
  own.connection!.trust()
  own.connection!.trust()
  const first = open('a')
  const second = open('a')
  assert.deepEqual([own.fake.isOpen, first.fake.isOpen, second.fake.isOpen], [true, false, true])
  own.close()
  second.connection!.begin()
  assert.equal(open('a').isTaken, false, 'closing it frees no place that it never had')
  second.close()
})

test('a connection without a request in time is closed', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { open } = world()
  const [silent, speaking] = [open('a'), open('a')]
  speaking.connection!.begin()()
  t.mock.timers.tick(60_000)
  assert.deepEqual([silent.fake.isOpen, speaking.fake.isOpen], [false, true])
})

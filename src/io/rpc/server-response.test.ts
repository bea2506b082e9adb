import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { completeResponse, type HttpRequest, type HttpResponse, respond } from './server-response.ts'

/** The response to a peer over HTTP/1.1 that reads nothing. */
class UnreadResponse extends EventEmitter {
  isCut = false
  writes = 0
  closed = false
  destroyed = false
  headersSent = false
  socket = null

  writeHead(): void {}
  end(): void {}

  write(): boolean {
    this.writes++
    return false
  }

  destroy(): void {
    this.isCut = true
  }
}

test('a peer that does not read its answer is disconnected after a minute plus the time its bytes may take', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const request = { readableEnded: true } as HttpRequest
  const [small, large, taken] = [new UnreadResponse(), new UnreadResponse(), new UnreadResponse()]
  respond(request, small as unknown as HttpResponse, 200, new Uint8Array(32))
  completeResponse(large as unknown as HttpResponse, new Uint8Array(3_200_000))
  respond(request, taken as unknown as HttpResponse, 200, new Uint8Array(32))
  taken.emit('close')
  t.mock.timers.tick(59_000)
  assert.deepEqual([small.isCut, large.isCut, taken.isCut], [false, false, false])
  t.mock.timers.tick(2_000)
  assert.deepEqual([small.isCut, large.isCut, taken.isCut], [true, false, false])
  t.mock.timers.tick(100_000)
  assert.deepEqual([small.isCut, large.isCut, taken.isCut], [true, true, false])
})

test('an answer to a peer that left before it was ready is not kept', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  for (const state of ['closed', 'destroyed'] as const) {
    const response = new UnreadResponse()
    response[state] = true
    completeResponse(response as unknown as HttpResponse, new Uint8Array(3_200_000))
    respond({} as HttpRequest, response as unknown as HttpResponse, 200, new Uint8Array(32))
    t.mock.timers.tick(1_000_000)
    assert.deepEqual([response.writes, response.isCut], [0, false], state)
  }
})

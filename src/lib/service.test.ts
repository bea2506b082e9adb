import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settle } from './clock.ts'
import { type Scope, type Service, Supervisor } from './service.ts'

function service(name: string, start: (scope: Scope) => void | Promise<void>): Service {
  return { name, start }
}

test('services stop in reverse order: signal, then background work, then deferred clean-up', async () => {
  const seen: string[] = []
  const supervisor = new Supervisor()
  for (const name of ['store', 'server']) {
    await supervisor.start(
      service(name, (scope) => {
        seen.push(`start ${name}`)
        scope.defer(() => void seen.push(`first deferred of ${name}`))
        scope.defer(() => void seen.push(`last deferred of ${name}`))
        scope.spawn('loop', async (signal) => {
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => setImmediate(resolve)))
          seen.push(`loop of ${name} ended`)
        })
      }),
    )
  }
  await supervisor.stop()
  assert.deepEqual(seen, [
    'start store',
    'start server',
    'loop of server ended',
    'last deferred of server',
    'first deferred of server',
    'loop of store ended',
    'last deferred of store',
    'first deferred of store',
  ])
})

test('a failed start releases what it had taken', async () => {
  let released = false
  const supervisor = new Supervisor()
  const failing = service('server', (scope) => {
    scope.defer(() => {
      released = true
    })
    throw new Error('port taken')
  })
  await assert.rejects(supervisor.start(failing), { message: 'port taken' })
  assert.equal(released, true)
})

test('failing background work ends the wait with its name and cause', async () => {
  const supervisor = new Supervisor()
  await supervisor.start(
    service('watcher', (scope) => {
      scope.spawn('poll', async () => {
        await settle()
        throw new Error('no more blocks')
      })
    }),
  )
  await assert.rejects(
    supervisor.untilStopped(new AbortController().signal),
    /watcher: poll failed: Error: no more blocks/,
  )
  await supervisor.stop()
})

test('aborted work is not a failure', async () => {
  const supervisor = new Supervisor()
  await supervisor.start(
    service('sleeper', (scope) => {
      scope.spawn(
        'sleep',
        (signal) =>
          new Promise((_, reject) =>
            signal.addEventListener('abort', () => {
              const error = new Error('stopped')
              error.name = 'AbortError'
              reject(error)
            }),
          ),
      )
    }),
  )
  await supervisor.stop()
  const stop = new AbortController()
  stop.abort()
  await supervisor.untilStopped(stop.signal)
})

test('a service that is stopped while it starts releases what it took before, at once, and what it took after', async () => {
  const seen: string[] = []
  const supervisor = new Supervisor()
  const slow = Promise.withResolvers<void>()
  const starting = supervisor.start(
    service('slow', async (scope) => {
      scope.defer(() => void seen.push('early'))
      scope.signal.addEventListener('abort', () => seen.push('aborted'))
      await slow.promise
      scope.defer(() => void seen.push('late'))
    }),
  )
  await supervisor.stop()
  assert.deepEqual(seen, ['aborted', 'early'])
  slow.resolve()
  await starting
  assert.deepEqual(seen, ['aborted', 'early', 'late'])
})

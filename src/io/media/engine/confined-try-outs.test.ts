import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MediaAbilities } from '../../../domain/media-abilities.ts'
import { openLog } from '../../../lib/log.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { ConfinedTryOuts } from './confined-try-outs.ts'

const abilities = (changes: Partial<MediaAbilities>): MediaAbilities => ({
  ...{ device: '0', capabilities: [], decodes: ['h264'], encodes: ['h264'], encoderFault: null },
  ...changes,
})

/** A GPU that does something else within each of three sets of walls; an error stands for what is wrong. */
function setUp(found: Record<string, MediaAbilities | Error>) {
  const walls = (names: readonly string[], weaker: readonly unknown[] = []) =>
    ({ walls: names, weaker }) as unknown as Sandbox
  const none = walls([])
  const some = walls(['seccomp'])
  const all = walls(['namespaces', 'seccomp'], [some, none])
  const lines: string[] = []
  const tried: string[] = []
  const tryOuts = new ConfinedTryOuts({
    sandbox: all,
    log: openLog({ level: 'info', write: (line) => lines.push(line) }),
    tryOut: async (device, { walls }) => {
      tried.push(`${device} ${walls.length}`)
      const result = found[walls.length] ?? new Error('No such device')
      if (result instanceof Error) throw result
      return result
    },
  })
  return { tryOuts, lines, tried, all, some, none }
}

test('a GPU that works within all walls stays there', async () => {
  const { all, lines, tried, tryOuts } = setUp({ 2: abilities({}) })
  await tryOuts.tryOut('0')
  assert.deepEqual([tried, lines, tryOuts.gpuSandbox === all], [['0 2'], [], true])
})

test('a GPU that works within fewer walls only has its workers there, and that is told with the reason', async () => {
  const { lines, some, tried, tryOuts } = setUp({ 1: abilities({}), 0: abilities({}) })
  assert.deepEqual((await tryOuts.tryOut('0')).encodes, ['h264'])
  assert.deepEqual([tried, tryOuts.gpuSandbox === some], [['0 2', '0 1'], true])
  assert.match(lines.join(), /"level":"warn".*"gpu":"0","walls":"seccomp","reason":"No such device"/)
})

test('an encoder that is missing within the walls alone counts; one that is missing everywhere does not', async () => {
  const without = abilities({ encodes: [], encoderFault: 'Cannot load libnvidia-encode.so.1' })
  const missing = setUp({ 2: without, 1: without, 0: abilities({}) })
  assert.deepEqual((await missing.tryOuts.tryOut('0')).encodes, ['h264'])
  assert.equal(missing.tryOuts.gpuSandbox, missing.none)
  assert.match(missing.lines.join(), /"walls":"none","reason":"Cannot load libnvidia-encode.so.1"/)
  const decodesOnly = setUp({ 2: without, 1: without, 0: without })
  assert.equal((await decodesOnly.tryOuts.tryOut('0')).encoderFault, 'Cannot load libnvidia-encode.so.1')
  assert.deepEqual([decodesOnly.lines, decodesOnly.tryOuts.gpuSandbox], [[], decodesOnly.all])
})

test('a GPU that works nowhere fails with what was wrong within the walls; the cores are tried there only', async () => {
  const { all, tried, tryOuts } = setUp({ 1: new Error('other'), 0: new Error('another') })
  await assert.rejects(tryOuts.tryOut('0'), { message: 'No such device' })
  await assert.rejects(tryOuts.tryOut(null), { message: 'No such device' })
  assert.deepEqual([tried, tryOuts.gpuSandbox === all], [['0 2', '0 1', '0 0', 'null 2'], true])
})

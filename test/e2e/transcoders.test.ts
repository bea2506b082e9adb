import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { freePort } from '../../devnet/free-port.ts'
import type { NodeProcess } from '../../devnet/node-process.ts'
import type { StandaloneTranscoderStatus } from '../../src/services/transcoding/standalone-transcoder.ts'
import type { TranscoderState } from '../../src/services/transcoding/transcoder-member.ts'
import { eventually, until } from '../tools/until.ts'
import { testNodes } from './nodes.ts'
import { TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

/** Orchestrators, standalone transcoders and a gateway, started by the commands of an operator; offchain. */

const SECRET = 'swordfish'
const STREAMS = 3
/** Segments served before and after each event. */
const SOME = 12

type OrchestratorStatus = { transcoders: TranscoderState[] }
type TranscoderStatus = { worker: StandaloneTranscoderStatus }

async function operator(t: TestContext, orchestrators = 1) {
  const { folder, node } = await testNodes(t)
  const addresses = await Promise.all(
    Array.from({ length: orchestrators }, async () => `127.0.0.1:${await freePort()}`),
  )
  const flags = (address: string) => ['-orchestrator', '-orchSecret', SECRET, '-serviceAddr', address]
  return {
    folder,
    node,
    addresses,
    orchestrators: await Promise.all(
      addresses.map((address, i) => node(`orchestrator ${i + 1}`, flags(address))),
    ),
    transcoder: (name: string, secret = SECRET) =>
      node(name, [
        ...['-transcoder', '-orchSecret', secret, '-orchAddr', addresses.join(',')],
        ...['-transcoderName', name],
      ]),
    async load() {
      const http = `127.0.0.1:${await freePort()}`
      const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
      const gateway = await node('gateway', [
        ...['-gateway', '-orchAddr', addresses.join(','), '-httpAddr', http, '-transcodingOptions', profiles],
      ])
      await gateway.start()
      return await TinyLoad.start(`http://${http}`, STREAMS)
    },
  }
}

/** Waits until more segments have been served, none of which may fail. */
async function serves(load: TinyLoad, what: string): Promise<void> {
  const before = load.served
  await eventually(`segments are served ${what}`, () => load.served >= before + SOME)
  assert.deepEqual(
    load.pushed.filter(({ status }) => status !== 200).map(({ status, text }) => `${status} ${text}`),
    [],
    what,
  )
}

const states = async (orchestrator: NodeProcess) =>
  (await orchestrator.status<OrchestratorStatus>()).transcoders.map(({ outOfRotation }) => outOfRotation)

test('no segment is lost while transcoders connect, are killed, hang and are told to stop', async (t) => {
  const w = await operator(t)
  const [orchestrator] = w.orchestrators as [NodeProcess]
  orchestrator.launch()
  const [one, two] = [await w.transcoder('one'), await w.transcoder('two')]
  await Promise.all([one.start(), two.start()])
  await until(async () => ((await orchestrator.isReady()) ? true : null), 'the orchestrator')
  await eventually('both are registered', async () => (await states(orchestrator)).length === 2)
  await using load = await w.load()
  await serves(load, 'by both')
  const { transcoders } = await orchestrator.status<OrchestratorStatus>()
  assert.deepEqual(transcoders.map(({ name }) => name).sort(), ['one', 'two'])
  for (const { hardware } of transcoders) assert.match(hardware, /^\d+ cores?$/)
  assert.deepEqual(
    transcoders.flatMap(({ streams }) => streams).sort(),
    Array.from({ length: STREAMS }, (_, i) => `tiny${i}`),
    'each stream is at one of them',
  )

  await one.kill()
  await serves(load, 'after one was killed')

  await one.start()
  await eventually('it is back', async () => (await states(orchestrator)).filter((out) => !out).length === 2)
  await serves(load, 'by both again')

  process.kill(-two.pid!, 'SIGSTOP')
  await eventually('the one that stands still is noticed', async () =>
    (await states(orchestrator)).includes('silent'),
  )
  await serves(load, 'while one stands still')
  process.kill(-two.pid!, 'SIGCONT')
  await eventually('it goes on', async () => !(await states(orchestrator)).includes('silent'))
  await serves(load, 'by both once more')

  await one.drain()
  assert.equal(one.exitCode, 0, one.output)
  await serves(load, 'after one was told to end')
  await load.stop()
  assert.deepEqual(
    load.pushed.filter(({ status, renditions }) => status !== 200 || renditions.length !== 1),
    [],
  )
})

test('a transcoder works for the next orchestrator of its list when its own is gone, and for any that returns', async (t) => {
  const w = await operator(t, 2)
  const [first, second] = w.orchestrators as [NodeProcess, NodeProcess]
  const transcoder = await w.transcoder('transcoder')
  const worksFor = async (address: string) =>
    (await transcoder.status<TranscoderStatus>()).worker.orchestrator === `https://${address}`
  first.launch()
  await transcoder.start()
  await eventually('it is with the first', async () => (await first.isReady()) && worksFor(w.addresses[0]!))
  await using load = await w.load()
  await serves(load, 'through the first')
  await load.stop()

  second.launch()
  await first.kill()
  await eventually(
    'it is with the second',
    async () => (await second.isReady()) && worksFor(w.addresses[1]!),
    15_000,
  )
  await using more = await w.load()
  await serves(more, 'through the second')
  await more.stop()

  await second.kill()
  await second.start()
  await eventually('it is back', async () => (await states(second)).includes(null), 15_000)
})

test('an orchestrator that transcodes also accepts remote transcoders', async (t) => {
  const w = await operator(t)
  const combined = await w.node('combined', [
    ...['-orchestrator', '-transcoder', '-orchSecret', SECRET, '-serviceAddr', w.addresses[0]!],
    ...['-maxSessions', '20'],
  ])
  await combined.start()
  const transcoder = await w.transcoder('transcoder')
  await transcoder.start()
  await eventually('it is registered', async () => (await states(combined)).length === 1)
  await using load = await w.load()
  await serves(load, 'by both')
  await eventually('the remote one has a share', async () => {
    const [state] = (await combined.status<OrchestratorStatus>()).transcoders
    return state!.done > 0
  })
  await transcoder.kill()
  await serves(load, 'by the node itself')
  await load.stop()
})

test('a transcoder with a wrong secret exits with a sentence that names the flag', async (t) => {
  const w = await operator(t)
  w.orchestrators[0]!.launch()
  const wrong = await w.transcoder('wrong', 'sword-fish')
  wrong.launch()
  await eventually('it has ended', () => !wrong.isRunning)
  assert.equal(wrong.exitCode, 1)
  assert.match(wrong.output, /says "invalid secret": give both the same -orchSecret/)
})

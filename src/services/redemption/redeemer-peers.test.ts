import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { eventsTo } from '../../../test/fakes/events.ts'
import { FakeRedeemer } from '../../../test/fakes/redeemer.ts'
import { RedeemerCallError } from '../../domain/redeemer-call.ts'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { RedeemerPeers } from './redeemer-peers.ts'

const PROBED = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'

async function started(mood: FakeRedeemer['mood'] = 'well') {
  const clock = new ManualClock()
  const causes = new RecordingCauses()
  const redeemer = new FakeRedeemer('r:8935', clock)
  redeemer.mood = mood
  const events: string[] = []
  const peers = new RedeemerPeers(
    { probed: PROBED },
    {
      ...{ connections: [redeemer], causes, clock, log: silentLog },
      events: eventsTo({
        'peer-up': () => void events.push('up'),
        'peer-down': ({ reason }) => void events.push(`down ${reason}`),
      }),
    },
  )
  const supervisor = new Supervisor()
  await supervisor.start(peers)
  await clock.wind(0)
  return { causes, clock, events, peers, redeemer, stop: () => supervisor.stop() }
}

test('a redeemer that is away is a cause until it answers', async () => {
  const { causes, clock, events, redeemer, stop } = await started('away')
  assert.deepEqual(causes.sentences, [
    'the redeemer r:8935 does not answer (connection refused): start the redeemer, or correct -redeemerAddr',
  ])
  redeemer.mood = 'well'
  await clock.wind(2_000)
  assert.deepEqual(causes.told, ['redeemer-away r:8935 begun', 'redeemer-away r:8935 ended'])
  assert.deepEqual(events, ['down away', 'up'])
  await stop()
})

for (const [refusal, sentence] of [
  [
    'secret',
    /^the redeemer r:8935 does not accept the -redeemerSecret .*: give both the same -redeemerSecret$/,
  ],
  ['certificate', /^the redeemer r:8935 does not accept the certificate .*: give both -certs /],
  ['recipient', /^the redeemer r:8935 redeems for another orchestrator .*: correct -redeemerAddr, /],
  ['not-a-redeemer', /^r:8935, named in -redeemerAddr, is not a redeemer; it may be an orchestrator /],
] as const) {
  test(`a redeemer that refuses the orchestrator for its ${refusal} is found at the first probe`, async () => {
    const { causes, clock, events, peers, redeemer, stop } = await started()
    const error = new RedeemerCallError('refused', 'no', { refusal })
    const maxFloat = redeemer.maxFloat.bind(redeemer)
    redeemer.maxFloat = () => Promise.reject(error)
    await clock.wind(10_000)
    assert.equal(causes.sentences.length, 1)
    assert.match(causes.sentences[0]!, sentence)
    assert.deepEqual(events, ['up', 'down refused'])
    assert.equal(peers.health[0]!.answers, true, 'it answers all the same')
    redeemer.maxFloat = maxFloat
    await clock.wind(10_000)
    assert.deepEqual(causes.codes, [])
    assert.deepEqual(events, ['up', 'down refused', 'up'])
    await stop()
  })
}

test('the refusal of a single ticket says nothing about the redeemer', async () => {
  const { causes, peers, redeemer, stop } = await started()
  peers.report(redeemer, new RedeemerCallError('refused', 'the ticket did not win'))
  assert.deepEqual(causes.codes, [])
  await stop()
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import type { ChainUpdate } from '../../domain/chain.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { Registration } from './registration.ts'

const ACCOUNT: Address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const ORCHESTRATOR: Address = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
const OTHER: Address = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'

async function started(serviceUri: string, rewardCaller: Address | null = null) {
  const clock = new ManualClock()
  const causes = new RecordingCauses()
  const listeners: ((update: ChainUpdate) => void)[] = []
  const state = { registered: false, active: false, serviceUri: '', isDown: false }
  const rest = { activationRound: 0n, deactivationRound: 0n, lastRewardRound: 0n, stake: 0n }
  const registration = new Registration(
    { account: ACCOUNT, serviceUri },
    {
      ...{ clock, causes, log: silentLog, isSameUri: (a: string, b: string) => a === b },
      watch: { subscribe: (listener) => void listeners.push(listener) },
      chain: {
        orchestrator: async () => {
          if (state.isDown) throw new Error('the chain is away')
          return { ...state, ...rest }
        },
        orchestratorPool: async () => [{ address: OTHER }, { address: ORCHESTRATOR }],
        rewardView: async (of) => ({ rewardCaller: of === ORCHESTRATOR ? rewardCaller : null }),
      },
    },
  )
  const supervisor = new Supervisor()
  const start = async () => {
    await supervisor.start(registration)
    await clock.wind(0)
  }
  const registered = async () => {
    const event = { kind: 'orchestrator-activated', orchestrator: ACCOUNT, round: 1n } as const
    const place = { block: 1n, txHash: '0x' as const, logIndex: 0 }
    const head = { number: 1n, hash: '0x', parentHash: '0x', l1Block: 1n, timestamp: 0n } as const
    for (const listener of listeners) listener({ head, events: [{ ...event, ...place }], reorganised: false })
    await settle()
    await clock.wind(0)
  }
  return { causes, clock, registered, start, state, stop: () => supervisor.stop() }
}

test('an account that is no orchestrator is a cause from the start until it is registered', async () => {
  const world = await started('')
  await world.start()
  assert.deepEqual(world.causes.sentences, [
    `the account ${ACCOUNT}, which tickets are to pay, is neither a registered orchestrator nor any orchestrator's reward caller, so every payment will be refused: give -ethOrchAddr, the address of the registered orchestrator that tickets pay, or register ${ACCOUNT} with: livepeer orchestrator register`,
  ])
  world.state.registered = true
  await world.registered()
  assert.deepEqual(world.causes.codes, [])
  await world.stop()
})

test('a forgotten -ethOrchAddr is named where the account is somebody’s reward caller', async () => {
  const world = await started('', ACCOUNT)
  await world.start()
  assert.match(world.causes.sentences[0]!, new RegExp(`: give -ethOrchAddr ${ORCHESTRATOR}$`))
  await world.stop()
})

test('an advertised address that differs from the one on chain is a cause until they are the same', async () => {
  const world = await started('https://new:8935')
  Object.assign(world.state, { registered: true, active: true, serviceUri: 'https://old:8935' })
  await world.start()
  assert.deepEqual(world.causes.sentences, [
    `gateways find ${ACCOUNT} at https://old:8935, its address on chain, and not at -serviceAddr https://new:8935: nothing where a balancer has the address on chain; otherwise correct -serviceAddr, or register it with: livepeer orchestrator set --uri https://new:8935`,
  ])
  world.state.serviceUri = 'https://new:8935'
  await world.registered()
  assert.deepEqual(world.causes.codes, [])
  await world.stop()
})

test('a chain that is away at the start is asked again', async () => {
  const world = await started('')
  world.state.isDown = true
  await world.start()
  assert.deepEqual(world.causes.codes, [])
  world.state.isDown = false
  await world.clock.wind(10_000)
  assert.deepEqual(world.causes.codes, ['account-not-registered'])
  await world.stop()
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ORCHESTRATOR, REGISTERED } from '../../test/fakes/status-answers.ts'
import type { Address } from '../lib/crypto.ts'
import { type Fields, type Log, silentLog } from '../lib/log.ts'
import { serviceAddress } from './service-address.ts'

const BALANCER = 'https://balancer.example:8935'
const ADVICE = `this orchestrator advertises the address that ${REGISTERED} registered: that is right for a single orchestrator; behind a balancer, each of several needs its own -serviceAddr, or all need the same -store, or segments reach a node that does not know their session`

async function settle(
  told: Parameters<typeof serviceAddress>[0],
  how: {
    account?: Address
    answering?: Address
    isPublic?: boolean
    isInCluster?: boolean
    registered?: string | Error
  },
) {
  const { account = ORCHESTRATOR, answering = null, isPublic = true, registered = BALANCER } = how
  const { isInCluster = false } = how
  const asked: Address[] = []
  const warnings: string[] = []
  const facts: Fields[] = []
  const log: Log = {
    ...silentLog,
    warn: (message, fields = {}) => {
      warnings.push(message)
      facts.push(fields)
    },
  }
  const registeredUri = async (of: Address) => {
    asked.push(of)
    if (registered instanceof Error) throw registered
    return registered
  }
  const service = await serviceAddress(
    told,
    { account, orchestrator: REGISTERED, isPublic, isInCluster, listensAt: '*:8935' },
    { registeredUri, log, answeringAt: async () => answering },
  )
  return { service, asked, warnings, facts }
}

const REGISTERED_ONE = { kind: 'registered' } as const

test('an orchestrator without a configured address takes the one that its registered orchestrator has on chain, never its own account’s', async () => {
  const { asked, service, warnings } = await settle(REGISTERED_ONE, {})
  assert.deepEqual(service, { kind: 'url', url: BALANCER })
  assert.deepEqual(asked, [REGISTERED])
  assert.deepEqual(warnings, [ADVICE])
})

test('the nodes of a cluster advertise the registered address, even with the registered account, without a warning', async () => {
  for (const account of [ORCHESTRATOR, REGISTERED] as Address[]) {
    for (const told of [REGISTERED_ONE, { kind: 'url', url: BALANCER } as const]) {
      const { service, warnings } = await settle(told, { account, answering: account, isInCluster: true })
      assert.deepEqual([service, warnings], [{ kind: 'url', url: BALANCER }, []])
    }
  }
})

test('the registered orchestrator takes its own registered address without a warning', async () => {
  const { service, warnings } = await settle(REGISTERED_ONE, { account: REGISTERED })
  assert.deepEqual(service, { kind: 'url', url: BALANCER })
  assert.deepEqual(warnings, [])
})

test('a configured address that is the registered one, perhaps a balancer’s, causes a warning; another does not', async () => {
  const same = await settle({ kind: 'url', url: BALANCER }, {})
  assert.deepEqual([same.service, same.warnings], [{ kind: 'url', url: BALANCER }, [ADVICE]])
  const own = { kind: 'url', url: 'https://o1.example:8935' } as const
  for (const registered of [BALANCER, '', 'no address', new Error('the chain is away')]) {
    const { service, warnings } = await settle(own, { registered })
    assert.deepEqual([service, warnings], [own, []])
  }
})

test('on a public network a loopback address is refused, and so is a missing one', async () => {
  await assert.rejects(settle(REGISTERED_ONE, { registered: 'https://127.0.0.1:8935' }), {
    code: 'no-service-address',
    message: `the service address of ${REGISTERED} on chain is https://127.0.0.1:8935, which is reachable from this machine only: give this node's with -serviceAddr HOST:PORT`,
  })
  for (const host of ['[::1]', '[::ffff:127.0.0.1]', 'localhost']) {
    await assert.rejects(settle(REGISTERED_ONE, { registered: `https://${host}:8935` }), {
      code: 'no-service-address',
      message: /, which is reachable from this machine only: /,
    })
  }
  const { service } = await settle(REGISTERED_ONE, { registered: 'https://127.0.0.1:8935', isPublic: false })
  assert.deepEqual(service, { kind: 'url', url: 'https://127.0.0.1:8935' })
  await assert.rejects(settle(REGISTERED_ONE, { registered: '' }), {
    message: `${REGISTERED} has no service address on chain: register one, or give this node's with -serviceAddr HOST:PORT`,
  })
  await assert.rejects(settle(REGISTERED_ONE, { registered: new Error('the chain is away') }), {
    message: 'the chain is away',
  })
})

test('a node that only names others has no address, and the chain is not asked', async () => {
  const { asked, service } = await settle({ kind: 'none' }, {})
  assert.deepEqual([service, asked], [{ kind: 'none' }, []])
})

test('another node of the same account that answers at the address on chain causes a warning with both addresses', async () => {
  const { facts, service, warnings } = await settle(REGISTERED_ONE, {
    ...{ account: REGISTERED, answering: REGISTERED },
  })
  assert.deepEqual(service, { kind: 'url', url: BALANCER })
  assert.deepEqual(warnings, [
    'another node of this account answers at the address on chain: give each its own -serviceAddr, or stop one',
  ])
  assert.deepEqual(facts, [{ account: REGISTERED, registered: BALANCER, listensAt: '*:8935' }])
  const other = await settle(REGISTERED_ONE, { account: REGISTERED, answering: ORCHESTRATOR })
  assert.deepEqual(other.warnings, [], 'a node with another account may be behind a balancer there')
})

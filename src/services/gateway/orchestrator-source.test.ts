import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { ListedOrchestrators, PooledOrchestrators, serviceUrl } from './orchestrator-source.ts'

test('a service address is completed with https and port 8935', () => {
  for (const [text, url] of [
    ['127.0.0.1', 'https://127.0.0.1:8935'],
    ['host:1234', 'https://host:1234'],
    [' https://host:443/ ', 'https://host:443'],
    ['https://host', 'https://host:8935'],
    ['http://host:80', 'http://host:80'],
    ['https://host:8935/base/', 'https://host:8935/base'],
    ['[::1]:9000', 'https://[::1]:9000'],
  ] as const)
    assert.equal(serviceUrl(text), url)
  for (const text of ['', 'ftp://host', 'https://', 'host:99999', 'a b', 'https://user:pw@host'])
    assert.throws(() => serviceUrl(text), { code: 'bad-address' }, text)
  assert.equal(serviceUrl('[2001:DB8::1]'), 'https://[2001:db8::1]:8935')
  assert.throws(() => serviceUrl('https://2001:db8::1:8935/'), {
    message: '"https://2001:db8::1:8935/" is not an orchestrator\'s address: write [2001:db8::1]:8935',
  })
})

test('listed orchestrators are trusted, each once', async () => {
  const listed = new ListedOrchestrators(['a', '', 'https://a:8935', 'b:1'])
  assert.deepEqual(await listed.candidates(), [
    { url: 'https://a:8935', trust: 'trusted', mustBePayable: false, reach: 'any' },
    { url: 'https://b:1', trust: 'trusted', mustBePayable: false, reach: 'any' },
  ])
})

function member(name: string, activationRound: bigint, deactivationRound: bigint, serviceUri: string) {
  return { address: name as Address, serviceUri, stake: 7n, activationRound, deactivationRound }
}

test('of the pool, those active in this round with a usable address are candidates', async () => {
  const clock = new ManualClock()
  let reads = 0
  let broken = false
  let tell: (kind: string) => void = () => {}
  const rounds = { lastInitializedRound: 10n }
  const pooled = new PooledOrchestrators({
    pool: {
      orchestratorPool: async () => {
        reads++
        if (broken) throw new Error('no endpoint')
        return [
          member('0x1', 10n, 11n, 'https://active:1'),
          member('0x2', 11n, 99n, 'https://not-yet:1'),
          member('0x3', 1n, 10n, 'https://no-more:1'),
          member('0x4', 1n, 99n, ''),
        ]
      },
    },
    changes: {
      subscribe: (listener) => {
        tell = (kind) => listener({ events: [{ kind }], reorganised: kind === 'reorganised' })
      },
    },
    rounds,
    reach: 'public',
    clock,
    log: silentLog,
  })
  await using supervisor = new Supervisor()
  await supervisor.start(pooled)
  const urls = async () => (await pooled.candidates()).map(({ url }) => url)

  assert.deepEqual(await pooled.candidates(), [
    { url: 'https://active:1', trust: 'untrusted', mustBePayable: true, reach: 'public' },
  ])
  assert.equal(pooled.stakeOf('0x1' as Address), 7n)
  assert.equal(pooled.stakeOf('0x9' as Address), 0n)
  rounds.lastInitializedRound = 11n
  assert.deepEqual(await urls(), ['https://not-yet:1'])
  assert.equal(reads, 1)
  tell('reward')
  await urls()
  assert.equal(reads, 1, 'an event that changes no membership reads nothing')
  for (const kind of ['orchestrator-activated', 'service-uri-updated', 'new-round', 'reorganised']) {
    const before: number = reads
    tell(kind)
    await Promise.all([urls(), urls()])
    assert.equal(reads, before + 1, kind)
  }
  broken = true
  tell('new-round')
  assert.deepEqual(await urls(), ['https://not-yet:1'], 'a pool that cannot be read stays as it was')
  const failed = reads
  await urls()
  assert.equal(reads, failed, 'and is not asked again at once')
  await clock.wind(5_000)
  broken = false
  await urls()
  assert.equal(reads, failed + 1)
  await clock.wind(10 * 60_000)
  await urls()
  assert.equal(reads, failed + 2, 'it is read again when old, events or none')
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PoolMember } from '../../domain/chain.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import {
  type KeptPool,
  ListedOrchestrators,
  type PoolCache,
  PooledOrchestrators,
  serviceUrl,
} from './orchestrator-source.ts'

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

const NOTHING_KEPT: PoolCache = { loadPool: async () => null, savePool: async () => {} }

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
    cache: NOTHING_KEPT,
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

/** Pools over one cache, of which the chain answers some reads. */
function keptPools() {
  const clock = new ManualClock()
  const set = {
    clock,
    kept: null as KeptPool | null,
    /** What a read of the chain answers. */
    chain: (): Promise<readonly PoolMember[]> => Promise.reject(new Error('no endpoint')),
    saves: 0,
    pool: () =>
      new PooledOrchestrators({
        pool: { orchestratorPool: () => set.chain() },
        changes: { subscribe: () => {} },
        rounds: { lastInitializedRound: 10n },
        reach: 'public',
        cache: {
          loadPool: async () => set.kept,
          savePool: async (pool) => {
            set.saves++
            set.kept = pool
          },
        },
        clock,
        log: silentLog,
      }),
  }
  return set
}

test('what was read is kept, and a gateway begins with it while the pool cannot be read', async () => {
  const set = keptPools()
  const here = member('0x1', 1n, 99n, 'https://here:1')
  set.chain = async () => [here]
  const urlsOf = async (pool: PooledOrchestrators) => (await pool.candidates()).map(({ url }) => url)
  {
    await using supervisor = new Supervisor()
    await supervisor.start(set.pool())
  }
  assert.deepEqual(set.kept?.members, [here])
  set.chain = () => Promise.reject(new Error('no endpoint'))
  await using supervisor = new Supervisor()
  const pool = set.pool()
  await supervisor.start(pool)
  assert.deepEqual(await urlsOf(pool), ['https://here:1'])
  assert.equal(pool.stakeOf('0x1' as Address), 7n)
  const there = member('0x2', 1n, 99n, 'https://there:1')
  set.chain = async () => [there]
  await set.clock.wind(5_000)
  assert.deepEqual(await urlsOf(pool), ['https://there:1'])
  assert.deepEqual([set.kept?.members, set.saves], [[there], 2])
})

test('a start does not wait for a slow read while a pool is kept, and uses the new one once it is there', async () => {
  const set = keptPools()
  set.kept = { readAtMs: set.clock.now(), members: [member('0x1', 1n, 99n, 'https://here:1')] }
  const read = Promise.withResolvers<readonly PoolMember[]>()
  set.chain = () => read.promise
  await using supervisor = new Supervisor()
  const pool = set.pool()
  await supervisor.start(pool)
  assert.equal((await pool.candidates())[0]!.url, 'https://here:1')
  read.resolve([member('0x2', 1n, 99n, 'https://there:1')])
  await settle()
  assert.equal((await pool.candidates())[0]!.url, 'https://there:1')
})

test('a stream waits a second at most for a pool that is read again, and goes by the one before', async () => {
  const set = keptPools()
  set.chain = async () => [member('0x1', 1n, 99n, 'https://here:1')]
  await using supervisor = new Supervisor()
  const pool = set.pool()
  await supervisor.start(pool)
  await set.clock.wind(10 * 60_000)
  const read = Promise.withResolvers<readonly PoolMember[]>()
  set.chain = () => read.promise
  let found: string | null = null
  const search = pool.candidates().then((candidates) => {
    found = candidates[0]!.url
  })
  await set.clock.wind(999)
  assert.equal(found, null)
  await set.clock.wind(1)
  assert.equal(found, 'https://here:1')
  await search
  read.resolve([member('0x2', 1n, 99n, 'https://there:1')])
  await settle()
  assert.equal((await pool.candidates())[0]!.url, 'https://there:1')
})

test('a pool that was kept for more than a day, or cannot be loaded or kept, is of no use and no harm', async () => {
  const set = keptPools()
  set.kept = {
    readAtMs: set.clock.now() - 24 * 60 * 60_000 - 1,
    members: [member('0x1', 1n, 99n, 'https://old:1')],
  }
  await using supervisor = new Supervisor()
  const pool = set.pool()
  await supervisor.start(pool)
  assert.deepEqual(await pool.candidates(), [])
  const broken = new PooledOrchestrators({
    pool: { orchestratorPool: async () => [member('0x1', 1n, 99n, 'https://here:1')] },
    changes: { subscribe: () => {} },
    cache: {
      loadPool: () => Promise.reject(new Error('disk')),
      savePool: () => Promise.reject(new Error('disk')),
    },
    ...{ rounds: { lastInitializedRound: 10n }, reach: 'any', clock: set.clock, log: silentLog },
  })
  await supervisor.start(broken)
  assert.equal((await broken.candidates())[0]!.url, 'https://here:1')
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeChain } from '../../../test/fakes/chain.ts'
import { FakePayer } from '../../../test/fakes/payer.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { Rounds } from './rounds.ts'
import { Senders } from './senders.ts'

const CLAIMANT = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const GATEWAY = new FakePayer('gateway').address

async function started(maxSenders = 100) {
  const chain = new FakeChain()
  const clock = new ManualClock()
  const supervisor = new Supervisor()
  const rounds = new Rounds({ chain, watch: chain, clock, log: silentLog })
  const senders = new Senders({ claimant: CLAIMANT, maxSenders }, { chain, watch: chain, rounds, clock })
  await supervisor.start(rounds)
  await supervisor.start(senders)
  return { chain, clock, senders, supervisor, reads: () => chain.senderReads }
}

test('concurrent callers share one read of a sender’s funds; it is repeated only after an event of that sender', async () => {
  const { chain, senders, supervisor, reads } = await started()
  chain.setSender(GATEWAY, { deposit: 5n })
  const both = await Promise.all([senders.info(GATEWAY), senders.info(GATEWAY)])
  assert.deepEqual(
    both.map(({ deposit }) => deposit),
    [5n, 5n],
  )
  chain.mine()
  chain.fund(CLAIMANT, 1n)
  chain.mine()
  await senders.info(GATEWAY)
  assert.equal(reads(), 1)
  chain.fund(GATEWAY, 2n)
  chain.mine()
  assert.equal((await senders.info(GATEWAY)).deposit, 7n)
  assert.equal(reads(), 2)
  await supervisor.stop()
})

test('a reorganisation, a round and ten minutes make funds be read again', async () => {
  const { chain, clock, senders, supervisor, reads } = await started()
  chain.setSender(GATEWAY, { deposit: 5n })
  await senders.info(GATEWAY)
  chain.reorganise(1, () => true)
  await senders.info(GATEWAY)
  assert.equal(reads(), 2)
  for (let i = 0; i < 50; i++) chain.mine()
  await senders.info(GATEWAY)
  assert.equal(reads(), 3)
  await clock.wind(600_000)
  await senders.info(GATEWAY)
  assert.equal(reads(), 4)
  assert.equal(senders.ageMs(GATEWAY), 0)
  await supervisor.stop()
})

test('an event while funds are being read makes them be read again', async () => {
  const { chain, senders, supervisor } = await started()
  chain.setSender(GATEWAY, { deposit: 1n })
  const read = chain.senderInfo.bind(chain)
  const gate = Promise.withResolvers<void>()
  chain.senderInfo = async (sender) => {
    const info = await read(sender)
    await gate.promise
    return info
  }
  const asked = senders.info(GATEWAY)
  await settle()
  chain.fund(GATEWAY, 1n)
  chain.mine()
  gate.resolve()
  assert.equal((await asked).deposit, 2n)
  await supervisor.stop()
})

test('while the chain is away funds half an hour old still count, older ones do not', async () => {
  const { chain, clock, senders, supervisor, reads } = await started()
  chain.setSender(GATEWAY, { deposit: 3n })
  await senders.info(GATEWAY)
  chain.isDown = true
  await clock.wind(29 * 60_000)
  assert.equal((await senders.info(GATEWAY)).deposit, 3n)
  assert.equal((await senders.info(GATEWAY)).deposit, 3n)
  assert.equal(reads(), 2, 'a chain that does not answer is not asked for every payment')
  await clock.wind(60_000)
  await assert.rejects(senders.info(GATEWAY), /no answer from the chain/)
  chain.isDown = false
  assert.equal((await senders.info(GATEWAY)).deposit, 3n)
  await supervisor.stop()
})

test('the float is the share of the reserve less what is pending, and never below zero', async () => {
  const { chain, senders, supervisor } = await started()
  chain.poolMembers = 5n
  chain.setSender(GATEWAY, { deposit: 30n, fundsRemaining: 5000n })
  assert.equal(await senders.maxFloat(GATEWAY), 5000n)
  senders.addPending(GATEWAY, 10n)
  assert.equal(await senders.maxFloat(GATEWAY), 5000n, 'the deposit covers it three times')
  senders.addPending(GATEWAY, 1n)
  assert.equal(await senders.maxFloat(GATEWAY), 4989n)
  senders.addPending(GATEWAY, 100_000n)
  assert.equal(await senders.maxFloat(GATEWAY), 0n)
  senders.addPending(GATEWAY, -100_011n)
  assert.equal(senders.pending(GATEWAY), 0n)
  await supervisor.stop()
})

test('a limited number of senders is remembered', async () => {
  const { senders, supervisor, reads } = await started(2)
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new FakePayer(name).address) as [
    typeof GATEWAY,
    typeof GATEWAY,
    typeof GATEWAY,
  ]
  for (const sender of [a, b, a, c, a]) await senders.info(sender)
  assert.equal(senders.size, 2)
  assert.equal(reads(), 3)
  await senders.info(b)
  assert.equal(reads(), 4)
  await supervisor.stop()
})

test('senders without funds are read once, until the chain tells of them', async () => {
  const { chain, clock, senders, supervisor, reads } = await started()
  assert.equal(await senders.maxFloat(GATEWAY), 0n)
  for (let i = 0; i < 50; i++) chain.mine()
  await senders.info(GATEWAY)
  assert.equal(reads(), 1, 'a new round funds no sender')
  chain.fund(GATEWAY, 2n)
  chain.mine()
  assert.equal((await senders.info(GATEWAY)).deposit, 2n)
  assert.equal(reads(), 2)
  for (let i = 0; i < 50; i++) chain.mine()
  await senders.info(GATEWAY)
  assert.equal(reads(), 3)
  await clock.wind(600_000)
  await supervisor.stop()
})

test('made-up senders do not displace those with funds', async () => {
  const { chain, senders, supervisor, reads } = await started(3)
  chain.setSender(GATEWAY, { deposit: 5n })
  await senders.info(GATEWAY)
  for (let i = 0; i < 20; i++) await senders.info(new FakePayer(`made up ${i}`).address)
  const before = reads()
  await senders.info(GATEWAY)
  assert.deepEqual([reads() - before, senders.size], [0, 4])
  await supervisor.stop()
})

test('look-ups of unknown senders are bounded for each host and for all together', async () => {
  const { chain, clock, senders, supervisor } = await started()
  let made = 0
  const granted = (host: string | null, asked = 200) => {
    let count = 0
    for (let i = 0; i < asked; i++) if (senders.mayLookUp(new FakePayer(`${made++}`).address, host)) count++
    return count
  }
  assert.deepEqual([granted('a'), granted('b'), granted('c'), granted('d')], [20, 20, 20, 0])
  await clock.wind(10_000)
  assert.deepEqual([granted('a'), granted(null)], [5, 15])
  chain.setSender(GATEWAY, { deposit: 5n })
  await senders.info(GATEWAY)
  assert.ok(senders.mayLookUp(GATEWAY, 'a'), 'a known sender costs no look-up')
  const poor = new FakePayer('poor').address
  await senders.info(poor)
  assert.ok(senders.mayLookUp(poor, 'a'), 'nor does a sender known to have no funds')
  await clock.wind(601_000)
  granted('a')
  assert.ok(!senders.mayLookUp(poor, 'a'), 'until it is read again')
  await supervisor.stop()
})

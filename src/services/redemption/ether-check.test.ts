import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { EtherCheck } from './ether-check.ts'

const ACCOUNT = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const GWEI = 10n ** 9n
const COST = 350_000n * GWEI

function checkOf(balanceWei: bigint) {
  const clock = new ManualClock()
  const causes = new RecordingCauses()
  const state = { balanceWei, isDown: false, isNeeded: true, gasPrice: GWEI, openTickets: 0, funded: 0 }
  const balance = async () => {
    if (state.isDown) throw new Error('the chain is away')
    return state.balanceWei
  }
  const redeemer = {
    get openTickets() {
      return state.openTickets
    },
    funded: () => void state.funded++,
  }
  const check = new EtherCheck(
    { account: ACCOUNT, redeemGas: 350_000n },
    { balance, gas: state, redeemer, causes, clock, log: silentLog, isNeeded: () => state.isNeeded },
  )
  return { check, clock, causes, state, supervisor: new Supervisor() }
}

test('an account without ether is a cause from the start, with the amount for the next redemptions, until it has some', async () => {
  const { causes, check, clock, state, supervisor } = checkOf(0n)
  await supervisor.start(check)
  await clock.wind(0)
  assert.deepEqual(causes.sentences, [
    `the account ${ACCOUNT} has 0 ETH, too little to redeem a ticket at a gas price of 1 gwei, so winning tickets wait and expire: send ${ACCOUNT} at least 0.0035 ETH, which pays for 10 redemptions`,
  ])
  state.openTickets = 40
  await clock.wind(10_000)
  assert.match(causes.sentences[0]!, /send 0x7099\w+ at least 0\.014 ETH, which pays for 40 redemptions$/)
  state.balanceWei = COST
  await clock.wind(10_000)
  assert.deepEqual(causes.told, ['no-ether begun', 'no-ether ended'])
  assert.equal(state.funded, 1, 'what waited for it is tried at once')
  await supervisor.stop()
})

test('enough for one redemption is no cause, and a chain that is away says nothing about the balance', async () => {
  const { causes, check, clock, state, supervisor } = checkOf(COST)
  await supervisor.start(check)
  await clock.wind(0)
  state.isDown = true
  await clock.wind(120_000)
  assert.deepEqual(causes.told, [])
  Object.assign(state, { isDown: false, balanceWei: COST - 1n })
  await clock.wind(60_000)
  assert.deepEqual(causes.told, ['no-ether begun'])
  state.isDown = true
  await clock.wind(60_000)
  assert.deepEqual(causes.told, ['no-ether begun'])
  await supervisor.stop()
})

test('while the gas price is not known, only an empty account is a cause', async () => {
  const { causes, check, clock, state, supervisor } = checkOf(1n)
  state.gasPrice = 0n
  await supervisor.start(check)
  await clock.wind(0)
  assert.deepEqual(causes.told, [])
  await supervisor.stop()
})

test('where another node redeems, an account without ether is no cause', async () => {
  const { causes, check, clock, state, supervisor } = checkOf(0n)
  state.isNeeded = false
  await supervisor.start(check)
  await clock.wind(60_000)
  assert.deepEqual(causes.sentences, [])
  state.isNeeded = true
  await clock.wind(60_000)
  assert.equal(causes.sentences.length, 1)
  await supervisor[Symbol.asyncDispose]()
})

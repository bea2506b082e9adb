import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeFunctionData } from 'viem'
import { wordsOfCall } from '../../domain/call-words.ts'
import { knownContracts } from '../../domain/known-contracts.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import { seededDice } from '../../lib/dice.ts'
import { abis } from './contracts.ts'
import { decodeCall } from './known-calls.ts'

const contracts = knownContracts(42161n)
const addressOf = (name: string) => [...contracts].find(([, known]) => known === name)![0]
const [bonding, token] = [addressOf('BondingManager'), addressOf('LivepeerToken')]
const OTHER: Address = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
const unbond = encodeFunctionData({
  abi: abis.BondingManager,
  functionName: 'unbondWithHint',
  args: [5n, OTHER, OTHER],
})
const transfer = encodeFunctionData({ abi: abis.LivepeerToken, functionName: 'transfer', args: [OTHER, 9n] })

test('a call is decoded with its contract, function and arguments', () => {
  assert.deepEqual(decodeCall({ to: bonding, data: unbond, value: 3n }, contracts), {
    ...{ contract: 'BondingManager', address: bonding, method: 'unbondWithHint' },
    ...{ args: [5n, OTHER, OTHER], value: 3n },
  })
  const vote = encodeFunctionData({ abi: abis.LivepeerGovernor, functionName: 'castVote', args: [1n, 2] })
  assert.deepEqual(decodeCall({ to: addressOf('LivepeerGovernor'), data: vote, value: 0n }, contracts).args, [
    1n,
    2n,
  ])
})

test('a contract that is not known, and a function that it does not have, are refused', () => {
  assert.throws(() => decodeCall({ to: OTHER, data: unbond, value: 0n }, contracts), {
    code: 'unknown-contract',
  })
  for (const data of [transfer, '0x', '0x12', '0xdeadbeef', unbond.slice(0, -2)] as Hex[]) {
    assert.throws(
      () => decodeCall({ to: bonding, data, value: 0n }, contracts),
      { code: 'unknown-function' },
      data,
    )
  }
})

test('data that says more than its arguments, or says them in another form, is refused', () => {
  const dirty = `${transfer.slice(0, 12)}ff${transfer.slice(14)}` as Hex
  const uri = encodeFunctionData({
    abi: abis.ServiceRegistry,
    functionName: 'setServiceURI',
    args: ['https://a.example:8935'],
  })
  const late = `${uri.slice(0, 10)}${'40'.padStart(64, '0')}${'0'.repeat(64)}${uri.slice(74)}` as Hex
  const cases: readonly (readonly [Address, Hex])[] = [
    [token, `${transfer}00`],
    [token, dirty],
    [addressOf('ServiceRegistry'), late],
    [token, `${transfer}${'0'.repeat(20_000)}`],
  ]
  for (const [to, data] of cases) {
    assert.throws(
      () => decodeCall({ to, data, value: 0n }, contracts),
      ({ code }: { code: string }) => /^(bad-calldata|unknown-function)$/.test(code),
      data.slice(0, 200),
    )
  }
})

test('whatever random data is, it is refused with a code, or is a call that has words or none', () => {
  const dice = seededDice('calldata')
  const selectors = [unbond, transfer].map((data) => data.slice(2, 10))
  const addresses = [...contracts.keys()]
  for (let run = 0; run < 2_000; run++) {
    const bytes = Buffer.from(dice.bytes(Math.floor(dice.fraction() * 200))).toString('hex')
    const data: Hex = `0x${run % 2 === 0 ? selectors[(run / 2) % 2]! : ''}${bytes}`
    try {
      wordsOfCall(
        decodeCall({ to: addresses[run % addresses.length]!, data, value: 0n }, contracts),
        contracts,
      )
    } catch (error) {
      assert.ok(error instanceof Error && 'code' in error, String(error))
    }
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { privateKeyToAccount } from 'viem/accounts'
import { Anvil } from '../../../devnet/anvil.ts'
import type { Hex } from '../../lib/bytes.ts'
import { systemClock } from '../../lib/clock.ts'
import { seededDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { Rpc } from './rpc.ts'
import { readSigned, SignedTransactions } from './signed-transactions.ts'

const KEY: Hex = '0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d'
const account = privateKeyToAccount(KEY)
const OTHER = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
const { signal } = new AbortController()
const fees = { maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 10n ** 9n }

test('a signed transaction is read from its bytes', async () => {
  const raw = await account.signTransaction({
    ...{ type: 'eip1559', chainId: 42161, nonce: 7, to: OTHER, value: 5n, data: '0x1234', gas: 99n, ...fees },
  })
  const { hash, ...read } = await readSigned(raw)
  assert.deepEqual(read, {
    ...{ from: account.address, chainId: 42161n, nonce: 7, to: OTHER, data: '0x1234', value: 5n, gas: 99n },
    ...fees,
  })
  assert.match(hash, /^0x[0-9a-f]{64}$/)
})

test('any other bytes are refused', async () => {
  const raw = await account.signTransaction({
    ...{ type: 'eip1559', chainId: 1, nonce: 7, to: OTHER, value: 5n, gas: 99n, ...fees },
  })
  const creation = await account.signTransaction({
    type: 'eip1559',
    chainId: 1,
    nonce: 0,
    data: '0x00',
    ...fees,
  })
  const legacy = await account.signTransaction({
    chainId: 1,
    nonce: 0,
    to: OTHER,
    gasPrice: 1n,
    type: 'legacy',
  })
  const listed = await account.signTransaction({
    ...{ type: 'eip1559', chainId: 1, nonce: 0, to: OTHER, ...fees },
    accessList: [{ address: OTHER, storageKeys: [] }],
  })
  for (const bytes of [
    '0x',
    '0x02',
    raw.slice(0, -2),
    creation,
    legacy,
    listed,
    `${raw}${'00'.repeat(9_000)}`,
  ]) {
    await assert.rejects(readSigned(bytes as Hex), { code: 'rejected' }, bytes.slice(0, 80))
  }
  const dice = seededDice('signed')
  for (let run = 0; run < 300; run++) {
    const bytes = Buffer.from(raw.slice(2), 'hex')
    bytes[Math.floor(dice.fraction() * bytes.length)]! ^= 1 + Math.floor(dice.fraction() * 255)
    const read = await readSigned(`0x${bytes.toString('hex')}`).catch((error: { code: string }) => {
      assert.equal(error.code, 'rejected')
      return null
    })
    // What can be read is signed by somebody else, or by the account and unchanged.
    if (read) assert.notEqual(read.from, account.address)
  }
})

test('a transaction is sent once, followed until it is mined, and known as overtaken', async () => {
  await using anvil = await Anvil.start()
  const rpc = new Rpc({ urls: [anvil.url], chainId: anvil.chainId }, { clock: systemClock, log: silentLog })
  const chain = new SignedTransactions({ rpc })
  await anvil.request('anvil_setBalance', [account.address, '0xde0b6b3a7640000'])
  await anvil.request('evm_setAutomine', [false])
  const signed = (value: bigint) =>
    account.signTransaction({
      ...{ type: 'eip1559', chainId: anvil.chainId, nonce: 0, to: OTHER, value, gas: 21_000n, ...fees },
    })
  const [first, rival] = [await signed(1n), await signed(2n)]
  const state = async (raw: Hex) => (await chain.look(await readSigned(raw), signal)).state
  assert.equal(await state(first), 'unknown')
  await chain.send(first, signal)
  await chain.send(first, signal)
  assert.equal(await state(first), 'pending')
  await anvil.request('evm_mine', [])
  const mined = await chain.look(await readSigned(first), signal)
  assert.ok(mined.state === 'mined' && mined.feeWei > 0n)
  await chain.send(first, signal)
  assert.equal(await state(rival), 'overtaken')
  await assert.rejects(chain.send(rival, signal), { code: 'nonce-taken' })
})

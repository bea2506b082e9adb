import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { TransactionSerializableEIP1559 } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import type { Hex } from '../../src/lib/bytes.ts'
import { type Answered, accountAt, ControlledChain, type LocalNode, LPT } from './control-nodes.ts'

/** What a control API says that it would send, simulated on a chain with the real contracts; and what it did send. */

const [orchestrator, holder, operator, cold] = [accountAt(1), accountAt(2), accountAt(3), accountAt(4)]
let chain: ControlledChain
let node: LocalNode

before(async () => {
  chain = await ControlledChain.start()
  await chain.protocol.bondAndRegister(orchestrator.key, {
    ...{ stake: 1_000n * LPT, serviceUri: 'https://127.0.0.1:8935' },
  })
  await chain.fund(operator, { lpt: 1_000n })
  await chain.fund(cold, { lpt: 500n })
  await chain.protocol.nextRound()
  node = await chain.node('node', '-gateway -httpAddr 127.0.0.1:0 -reward=false', operator)
})
after(() => chain[Symbol.asyncDispose]())

interface Call {
  readonly contract: string
  readonly address: string
  readonly method: string
  readonly about: string
  readonly args: readonly { name: string; value: string; words: string }[]
  readonly valueWei: string
  readonly maxCostWei: string
  readonly transaction: { nonce: number; gas: string; maxFeePerGas: string }
  readonly hash: string
  readonly feeWei: string
}

interface Told {
  readonly dryRun: boolean
  readonly chainId: string
  readonly from: string
  readonly steps: readonly { step: string | null; isDone: boolean; call: Call | null }[]
  readonly maxCostWei: string
  readonly maxCost: string
}

const told = ({ status, text }: Answered): Told => {
  assert.equal(status, 200, text)
  return JSON.parse(text) as Told
}
const dry = async (path: string, values: Record<string, string | bigint | number> = {}) =>
  told(await node.post(path, { ...values, dryRun: 'true' }))
const nonceOf = async (address: string) =>
  Number(await chain.anvil.request<string>('eth_getTransactionCount', [address, 'pending']))
const methods = ({ steps }: Told) => steps.map(({ call }) => call && `${call.contract}.${call.method}`)

const activation = {
  ...{ blockRewardCut: 10, feeShare: 95, pricePerUnit: 1_200, pixelsPerUnit: 1 },
  ...{ serviceURI: 'https://orchestrator.example:8935', amount: 100n * LPT },
}

test('each route that sends says what it would send, and sends nothing', async () => {
  const before = await nonceOf(operator.address)
  const cases: readonly (readonly [string, Record<string, string | bigint>, readonly string[]])[] = [
    ['/fundDeposit', { amount: 10n }, ['TicketBroker.fundDeposit']],
    [
      '/fundDepositAndReserve',
      { depositAmount: 1n, reserveAmount: 2n },
      ['TicketBroker.fundDepositAndReserve'],
    ],
    ['/transferTokens', { to: holder.address, amount: 3n }, ['LivepeerToken.transfer']],
    [
      '/bond',
      { amount: LPT, toAddr: orchestrator.address },
      ['LivepeerToken.approve', 'BondingManager.bondWithHint'],
    ],
  ]
  for (const [path, values, expected] of cases) {
    const answer = await dry(path, values)
    assert.deepEqual([answer.dryRun, answer.from, methods(answer)], [true, operator.address, expected], path)
  }
  assert.equal(await nonceOf(operator.address), before)
})

test('a step is told with its contract, its arguments in units, what is sent along and what it may cost', async () => {
  const { chainId, maxCost, maxCostWei, steps } = await dry('/fundDepositAndReserve', {
    ...{ depositAmount: LPT, reserveAmount: LPT / 2n },
  })
  const { address, args, about, transaction, ...call } = steps[0]!.call!
  assert.equal(about, 'adds 1 ETH to the deposit and 0.5 ETH to the reserve')
  assert.equal(address, chain.protocol.addresses.ticketBroker)
  assert.deepEqual(args, [
    { name: 'depositAmount', value: String(LPT), words: '1 ETH' },
    { name: 'reserveAmount', value: String(LPT / 2n), words: '0.5 ETH' },
  ])
  assert.equal(call.valueWei, String((3n * LPT) / 2n))
  assert.equal(maxCostWei, String(BigInt(transaction.gas) * BigInt(transaction.maxFeePerGas)))
  assert.match(maxCost, /^0\.0\d+ ETH$/)
  assert.equal(chainId, String(chain.anvil.chainId))
})

test('steps that need the one before them are simulated after it, with their gas and the next nonce', async () => {
  const { steps } = await dry('/bond', { amount: 5n * LPT, toAddr: orchestrator.address })
  const [approve, bond] = steps.map(({ call }) => call!.transaction)
  assert.equal(bond!.nonce, approve!.nonce + 1)
  assert.ok(BigInt(bond!.gas) > 200_000n && BigInt(bond!.gas) < 1_500_000n, bond!.gas)
  // They are refused there too: this much cannot be bonded, whatever is approved.
  const { status, text } = await node.post('/bond', {
    amount: 10n ** 24n,
    toAddr: orchestrator.address,
    dryRun: 'true',
  })
  assert.equal(status, 500)
  assert.match(text, /^execution reverted: ERC20: transfer amount exceeds balance/)
})

test('a refusal has the words and the status of the real call', async () => {
  for (const [path, values] of [
    ['/unlock', {}],
    ['/withdrawStake', { unbondingLockId: '9' }],
    ['/withdrawFees', { amount: '1' }],
    ['/reward', {}],
    ['/initializeRound', {}],
    ['/transferTokens', { to: 'nobody', amount: '1' }],
  ] as const) {
    const [real, trial] = [
      await node.post(path, values),
      await node.post(path, { ...values, dryRun: 'true' }),
    ]
    assert.deepEqual([trial.status, trial.text], [real.status, real.text], path)
    assert.ok(real.status >= 400)
  }
})

test('an activation is told step by step, also for an account whose key the node does not have', async () => {
  for (const from of [operator, cold]) {
    const answer = await dry('/activateOrchestrator', { ...activation, from: from.address })
    assert.equal(answer.from, from.address)
    assert.deepEqual(
      answer.steps.map(({ call, isDone, step }) => [step, isDone, call?.method ?? null]),
      [
        ['bonding', false, 'approve'],
        ['bonding', false, 'bondWithHint'],
        ['setting the cuts', false, 'transcoder'],
        ['registering the address', false, 'setServiceURI'],
        ['setting the price', false, null],
      ],
    )
    const first = await nonceOf(from.address)
    assert.deepEqual(
      answer.steps.flatMap(({ call }) => (call ? [call.transaction.nonce - first] : [])),
      [0, 1, 2, 3],
    )
  }
  assert.match(
    (await node.post('/bond', { amount: 1, toAddr: cold.address, from: cold.address })).text,
    /^from goes with/,
  )
})

test('with details, what was sent is told with its hash, block and fee', async () => {
  const { steps } = told(await node.post('/fundDeposit', { amount: 7, details: 'true' }))
  const call = steps[0]!.call!
  const receipt = await chain.anvil.request<{ status: string; gasUsed: string; effectiveGasPrice: string }>(
    'eth_getTransactionReceipt',
    [call.hash],
  )
  assert.equal(receipt.status, '0x1')
  assert.equal(call.feeWei, String(BigInt(receipt.gasUsed) * BigInt(receipt.effectiveGasPrice)))
  assert.equal(call.about, 'adds 7 wei to the deposit')
})

test('a transaction that was signed elsewhere is sent once, for calls of the protocol and other accounts alone', async () => {
  const { bondingManager, token } = chain.protocol.addresses
  const transfer = (to: string) =>
    `0xa9059cbb${to.slice(2).toLowerCase().padStart(64, '0')}${'1'.padStart(64, '0')}`
  const signed = ({ key }: { key: Hex }, changed: Record<string, unknown> = {}) =>
    privateKeyToAccount(key).signTransaction({
      ...{ type: 'eip1559', chainId: chain.anvil.chainId, nonce: 0, to: token, gas: 200_000n },
      ...{ maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 10n ** 9n, data: transfer(holder.address) as Hex },
      ...changed,
    } as TransactionSerializableEIP1559)
  for (const [transaction, words] of [
    [await signed(operator), /is this node’s account, whose nonces it keeps itself/],
    [await signed(cold, { chainId: 1 }), /it is for chain 1, and this node is on chain/],
    [await signed(cold, { to: bondingManager }), /BondingManager has no function 0xa9059cbb/],
    [await signed(cold, { to: holder.address }), /Poll has no function 0xa9059cbb/],
    ['0x02', /no signed EIP-1559 transaction/],
  ] as const) {
    const answer = await node.post('/sendSigned', { transaction })
    assert.equal(answer.status, 400)
    assert.match(answer.text, words)
  }
  const transaction = await signed(cold)
  const state = async () => (await node.json(`/signedState?transaction=${transaction}`)).state
  assert.equal(await state(), 'unknown')
  const before = await chain.protocol.read('LivepeerToken', 'balanceOf', [holder.address])
  for (let time = 0; time < 2; time++) {
    assert.equal((await node.post('/sendSigned', { transaction })).status, 200)
  }
  assert.equal(await state(), 'mined')
  assert.equal(await chain.protocol.read('LivepeerToken', 'balanceOf', [holder.address]), before + 1n)
  const rival = await signed(cold, { gas: 190_000n })
  assert.match(
    (await node.post('/sendSigned', { transaction: rival })).text,
    /another transaction of 0x\w+ used nonce 0/,
  )
})

test('an account whose key is elsewhere is told of, and what it signs later may pay more for gas', async () => {
  const { address, lptu, locks } = await node.json<{ address: string; lptu: string; locks: unknown[] }>(
    `/accountInfo?address=${cold.address}`,
  )
  assert.deepEqual([address, BigInt(lptu), locks], [cold.address, 500n * LPT - 1n, []])
  assert.equal((await node.json('/accountInfo')).address, operator.address)
  const cap = async (from: string) => {
    const { steps } = await dry('/transferTokens', { to: holder.address, amount: 1, from })
    return BigInt(steps[0]!.call!.transaction.maxFeePerGas)
  }
  const [own, later] = [await cap(operator.address), await cap(cold.address)]
  assert.ok(later > (own * 3n) / 2n, `${own} ${later}`)
})

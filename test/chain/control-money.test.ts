import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { accountAt, ControlledChain, type LocalNode, LPT, type TestAccount } from './control-nodes.ts'

/** What an operator's mistakes, and a Go node's, would cost: nothing here. Each call is made at a node's control API. */

const [recipient, other, operator, second] = [accountAt(1), accountAt(2), accountAt(3), accountAt(4)]
let chain: ControlledChain
let node: LocalNode

before(async () => {
  chain = await ControlledChain.start()
  await chain.protocol.bondAndRegister(recipient.key, {
    ...{ stake: 1_000n * LPT, serviceUri: 'https://127.0.0.1:8935' },
  })
  await chain.protocol.bondAndRegister(second.key, {
    ...{ stake: 500n * LPT, serviceUri: 'https://127.0.0.1:8936' },
  })
  await chain.fund(operator, { lpt: 1_000n })
  await chain.protocol.nextRound()
  node = await chain.node('gateway', '-gateway -httpAddr 127.0.0.1:0 -reward=false', operator)
})
after(() => chain[Symbol.asyncDispose]())

const tokens = (account: TestAccount) => chain.protocol.read('LivepeerToken', 'balanceOf', [account.address])
const delegator = async () => {
  const [bonded, , to] = await chain.protocol.read<[bigint, bigint, string]>(
    'BondingManager',
    'getDelegator',
    [operator.address],
  )
  return { bonded, to }
}

test('a recipient that is no address, is short, long or mistyped, is paid nothing', async () => {
  const before = await tokens(operator)
  for (const to of [
    'nobody',
    '0xaa',
    `${other.address}aa`,
    other.address.replace('C44', 'c44'),
    `0x${'0'.repeat(40)}`,
  ]) {
    const { status, text } = await node.post('/transferTokens', { to, amount: 1 })
    assert.equal(status, 400, text)
    assert.match(text, /^invalid to: /)
  }
  assert.equal(await tokens(operator), before)
})

test('amounts beyond 2^256, below 0 or with a point are refused before anything is sent', async () => {
  const before = await tokens(operator)
  for (const amount of [(2n ** 256n + 1n).toString(), '-1', '1.0', '1e18', '0x10', ' 1']) {
    for (const [path, rest] of [
      ['/transferTokens', { to: other.address }],
      ['/bond', { toAddr: recipient.address }],
      ['/unbond', {}],
      ['/fundDeposit', {}],
      ['/withdrawFees', {}],
    ] as const) {
      const { status, text } = await node.post(path, { ...rest, amount })
      assert.equal(status, 400, `${path} ${amount}: ${text}`)
    }
  }
  const sum = { depositAmount: 2n ** 256n - 1n, reserveAmount: 8 }
  assert.equal((await node.post('/fundDepositAndReserve', sum)).status, 400)
  assert.equal(await tokens(operator), before)
})

test('a transfer pays the amount, once', async () => {
  const before = await tokens(other)
  assert.deepEqual(
    await node
      .post('/transferTokens', { to: other.address, amount: 5 })
      .then(({ status, text }) => [status, text]),
    [200, ''],
  )
  assert.equal(await tokens(other), before + 5n)
})

test('more than the balance is not bonded, and nothing is approved for it', async () => {
  const { bondingManager } = chain.protocol.addresses
  const { status, text } = await node.post('/bond', { amount: 10n ** 24n, toAddr: recipient.address })
  assert.equal(status, 500)
  assert.match(text, /^execution reverted: ERC20: transfer amount exceeds balance: the account has \d+ LPTU/)
  const allowance = await chain.protocol.read('LivepeerToken', 'allowance', [
    operator.address,
    bondingManager,
  ])
  assert.equal(allowance, 0n)
})

test('a bond to nobody is refused, and one to an orchestrator takes the amount', async () => {
  const before = await tokens(operator)
  assert.equal((await node.post('/bond', { amount: 1, toAddr: 'nobody' })).status, 400)
  assert.equal((await node.post('/bond', { amount: 100n * LPT, toAddr: recipient.address })).status, 200)
  assert.equal(await tokens(operator), before - 100n * LPT)
  assert.deepEqual(await delegator(), { bonded: 100n * LPT, to: recipient.address })
})

test('moving a bond with one unit more takes one unit, not the stake again', async () => {
  await chain.protocol.nextRound()
  const before = await tokens(operator)
  const { status, text } = await node.post('/bond', { amount: 1, toAddr: second.address })
  assert.deepEqual([status, text], [200, ''])
  assert.equal(await tokens(operator), before - 1n)
  assert.deepEqual(await delegator(), { bonded: 100n * LPT + 1n, to: second.address })
  // Without anything more it moves back.
  assert.equal((await node.post('/bond', { amount: 0, toAddr: recipient.address })).status, 200)
  assert.equal(await tokens(operator), before - 1n)
  assert.equal((await delegator()).to, recipient.address)
})

test('unbonding all leaves no reward behind, and the lock can be bonded again', async () => {
  await chain.protocol.nextRound()
  await chain.protocol.call(recipient.key, 'BondingManager', 'reward')
  await chain.protocol.nextRound()
  const info = await node.ask('GET', '/delegatorInfo')
  const [, pending] = /"PendingStake":(\d+)/.exec(info.text)!
  assert.ok(BigInt(pending!) > 100n * LPT + 1n)
  assert.equal((await node.post('/unbond', { amount: 'all' })).status, 200)
  assert.equal((await delegator()).bonded, 0n)
  const locks = await node.ask('GET', '/unbondingLocks')
  assert.match(
    locks.text,
    new RegExp(`^\\[\\{"ID":0,"Delegator":"${operator.address.toLowerCase()}","Amount":${pending},`),
  )
  assert.equal((await node.post('/rebond', { unbondingLockId: 0, toAddr: 'nobody' })).status, 400)
  assert.equal((await node.post('/rebond', { unbondingLockId: 'one' })).status, 400)
  const refused = await node.post('/rebond', { unbondingLockId: 0 })
  assert.deepEqual([refused.status, refused.text], [500, 'execution reverted: caller must be bonded\n'])
  assert.equal((await node.post('/rebond', { unbondingLockId: 0, toAddr: recipient.address })).status, 200)
  assert.deepEqual(await delegator(), { bonded: BigInt(pending!), to: recipient.address })
})

test('refusals of the contracts have one status and their words', async () => {
  for (const [path, values, text] of [
    ['/bond', { amount: 0, toAddr: other.address }, null],
    ['/unbond', { amount: 0 }, null],
    ['/withdrawStake', { unbondingLockId: 9 }, 'execution reverted: invalid unbonding lock ID\n'],
    [
      '/withdrawFees',
      { amount: 1 },
      'could not execute WithdrawFees: execution reverted: insufficient fees to withdraw\n',
    ],
    ['/unlock', {}, 'could not execute unlock: execution reverted: sender deposit and reserve are zero\n'],
    [
      '/withdraw',
      {},
      'could not execute withdraw: execution reverted: sender deposit and reserve are zero\n',
    ],
    ['/reward', {}, 'Error calling reward: execution reverted: caller must be an active transcoder\n'],
    ['/initializeRound', {}, 'could not initialize round: ErrRoundInitialized\n'],
  ] as const) {
    const answer = await node.post(path, values)
    if (path === '/bond' && answer.status === 200) continue
    assert.equal(answer.status, 500, `${path}: ${answer.text}`)
    if (text !== null) assert.equal(answer.text, text)
  }
})

test('deposit and reserve are funded, unlocked, locked again and withdrawn', async () => {
  const info = () => node.ask('GET', '/senderInfo').then(({ text }) => text)
  const done = async (path: string, values = {}) => {
    const { status, text } = await node.post(path, values)
    assert.deepEqual([status, text], [200, `${path.slice(1)} success`])
  }
  await done('/fundDeposit', { amount: 10n ** 18n })
  await done('/fundDepositAndReserve', { depositAmount: 2, reserveAmount: 3 })
  assert.equal(
    await info(),
    '{"Deposit":1000000000000000002,"WithdrawRound":0,"Reserve":{"FundsRemaining":3,"ClaimedInCurrentRound":0}}',
  )
  await done('/unlock')
  await done('/cancelUnlock')
  await done('/unlock')
  const early = await node.post('/withdraw')
  assert.equal(early.text, 'could not execute withdraw: execution reverted: account is locked\n')
  await chain.protocol.nextRound()
  await chain.protocol.nextRound()
  await done('/withdraw')
  assert.match(await info(), /^\{"Deposit":0,/)
})

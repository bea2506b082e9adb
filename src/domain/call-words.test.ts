import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Address } from '../lib/crypto.ts'
import { assertSafeCall, type DecodedCall, wordsOfCall } from './call-words.ts'

const ACCOUNT: Address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const OTHER: Address = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
const BONDING: Address = '0x35Bcf3c30594191d53231E4FF333E8A770453e40'
const NOBODY: Address = '0x0000000000000000000000000000000000000000'
const UNIT = 10n ** 18n
const names = new Map([[BONDING, 'BondingManager']])

function call(called: string, args: DecodedCall['args'] = [], value = 0n): DecodedCall {
  const [contract, method] = called.split('.') as [DecodedCall['contract'], string]
  return { contract, method, args, value, address: BONDING }
}

const CALLS: readonly (readonly [call: DecodedCall, about: string])[] = [
  [
    call('BondingManager.bondWithHint', [(5n * UNIT) / 2n, OTHER, NOBODY, NOBODY, NOBODY, NOBODY]),
    `bonds 2.5 LPT to ${OTHER}, and moves there what is bonded already`,
  ],
  [
    call('BondingManager.unbondWithHint', [UNIT + 1n, NOBODY, NOBODY]),
    'unbonds 1.000000000000000001 LPT, which can be withdrawn some rounds later',
  ],
  [call('BondingManager.rebondWithHint', [7n, NOBODY, NOBODY]), 'bonds the LPT of lock 7 again'],
  [
    call('BondingManager.rebondFromUnbondedWithHint', [OTHER, 7n, NOBODY, NOBODY]),
    `bonds the LPT of lock 7 to ${OTHER}`,
  ],
  [
    call('BondingManager.transcoder', [105_000n, 950_001n]),
    'registers the account as an orchestrator that keeps 10.5 % of its rewards and gives away 95.0001 % of its fees',
  ],
  [call('BondingManager.withdrawStake', [0n]), 'takes the LPT of lock 0 into the account'],
  [call('BondingManager.withdrawFees', [ACCOUNT, 1n]), `pays 1 wei of earned fees to ${ACCOUNT}`],
  [call('BondingManager.claimEarnings', [12n]), 'credits what was earned up to round 12'],
  [call('BondingManager.rewardWithHint', [NOBODY, NOBODY]), 'mints the reward of this round for the account'],
  [
    call('BondingManager.rewardForTranscoderWithHint', [OTHER, NOBODY, NOBODY]),
    `mints the reward of this round for ${OTHER}`,
  ],
  [call('LivepeerToken.approve', [BONDING, UNIT]), `lets ${BONDING} (BondingManager) take up to 1 LPT`],
  [call('LivepeerToken.transfer', [OTHER, 10n * UNIT]), `sends 10 LPT to ${OTHER}`],
  [call('LivepeerTokenFaucet.request'), 'asks the test faucet for LPT'],
  [call('RoundsManager.initializeRound'), 'initialises the current round'],
  [
    call('ServiceRegistry.setServiceURI', ['https://a.example:8935']),
    'registers "https://a.example:8935" as the address where gateways reach the account’s orchestrator',
  ],
  [call('TicketBroker.fundDeposit', [], UNIT / 5n), 'adds 0.2 ETH to the deposit'],
  [
    call('TicketBroker.fundDepositAndReserve', [UNIT, 2n], UNIT + 2n),
    'adds 1 ETH to the deposit and 2 wei to the reserve',
  ],
  [call('TicketBroker.unlock'), 'unlocks deposit and reserve, which can be withdrawn some rounds later'],
  [call('TicketBroker.cancelUnlock'), 'locks deposit and reserve again'],
  [call('TicketBroker.withdraw'), 'takes deposit and reserve into the account'],
  [call('Poll.vote', [1n]), `votes no in the poll ${BONDING}`],
  [call('LivepeerGovernor.castVote', [9n, 2n]), 'casts the vote abstain on proposal 9'],
  [
    call('LivepeerGovernor.castVoteWithReason', [9n, 0n, 'no\u001b[2J']),
    'casts the vote against on proposal 9, with the reason "no\\u001b[2J"',
  ],
]

for (const [one, about] of CALLS) {
  test(`${one.contract}.${one.method} in words`, () => {
    assert.equal(wordsOfCall(one, names).about, about)
    assertSafeCall(one, { from: ACCOUNT, names })
  })
}

test('each argument has its name, what the contract takes, and its unit', () => {
  const args = [2n * UNIT, OTHER, NOBODY, NOBODY, NOBODY, BONDING]
  assert.deepEqual(wordsOfCall(call('BondingManager.bondWithHint', args), names).args, [
    { name: 'amount', value: '2000000000000000000', words: '2 LPT' },
    { name: 'to', value: OTHER, words: OTHER },
    { name: 'oldDelegateNewPosPrev', value: NOBODY, words: 'none' },
    { name: 'oldDelegateNewPosNext', value: NOBODY, words: 'none' },
    { name: 'currDelegateNewPosPrev', value: NOBODY, words: 'none' },
    { name: 'currDelegateNewPosNext', value: BONDING, words: `${BONDING} (BondingManager)` },
  ])
})

test('a function that no operator calls has no words', () => {
  for (const called of [
    'LivepeerToken.transferFrom',
    'BondingManager.constructor',
    'TicketBroker.toString',
  ]) {
    assert.throws(() => wordsOfCall(call(called), names), { code: 'unknown-method' }, called)
  }
  assert.throws(() => wordsOfCall(call('BondingManager.withdrawStake', []), names), {
    code: 'unknown-method',
  })
})

test('what no command makes is refused, although it is understood', () => {
  const refused: readonly (readonly [DecodedCall, RegExp])[] = [
    [
      call('LivepeerToken.approve', [OTHER, UNIT]),
      /^it would let 0x3C44\S+ take LPT, which is not the BondingManager$/,
    ],
    [
      call('BondingManager.withdrawFees', [OTHER, 1n]),
      /^it would pay the fees to 0x3C44\S+, not to the account/,
    ],
    [call('TicketBroker.unlock', [], 1n), /^TicketBroker\.unlock takes no ether, and 1 wei are sent along$/],
    [call('TicketBroker.fundDepositAndReserve', [1n, 2n], 4n), /takes 3 wei by its arguments, and 4 wei/],
    [call('LivepeerToken.transfer', [NOBODY, 1n]), /^its to is the zero address/],
    [call('Poll.vote', [2n]), /^its choiceId 2 is not a choice$/],
    [call('LivepeerGovernor.castVote', [1n, 3n]), /^its support 3 is not a choice$/],
    [call('BondingManager.transcoder', [1_000_001n, 0n]), /^its rewardCut is more than 100 %$/],
  ]
  for (const [one, message] of refused) {
    assert.throws(() => assertSafeCall(one, { from: ACCOUNT, names }), { code: 'unsafe-call', message })
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ACCOUNT, COLD, OTHER, runAt, status } from '../../../test/fakes/operate-node.ts'

test('the orchestrator is shown with its own account, and the node’s where that is another one', async () => {
  const accountOf = (address: string) => ({
    ...{ address, round: '12', lptu: '5', wei: '1000000000000000000', status: 'Bonded', bondedTo: address },
    ...{ stakeLptu: '2500000000000000000', feesWei: '0' },
    locks: [
      { id: '0', lptu: '1000000000000000000', withdrawRound: '12' },
      { id: '1', lptu: '1', withdrawRound: '13' },
    ],
  })
  const Transcoder = {
    ...{
      Address: COLD.toLowerCase(),
      ServiceURI: 'https://o.example:8935',
      Status: 'Registered',
      Active: true,
    },
    ...{ RewardCut: 100_000, FeeShare: 945_000, DelegatedStake: 2500000000000000000, LastRewardRound: 11 },
    ...{ ActivationRound: 3, DeactivationRound: 4 },
  }
  const { code, out } = await runAt('orchestrator status', {
    respond: ({ path, values }) =>
      path === '/orchestratorInfo'
        ? { Transcoder, PriceInfo: '1200' }
        : accountOf(values.address === undefined ? ACCOUNT : COLD),
  })
  assert.equal(code, 0)
  assert.equal(
    out,
    [
      'round            12',
      `orchestrator     ${COLD}: registered, active`,
      'service address  https://o.example:8935',
      'stake            2.5 LPT, of all who bonded to it',
      'cuts             keeps 10 % of its rewards and 5.5 % of its fees',
      'last reward      in round 11',
      'price            1200 wei per pixel',
      'balance          1 ETH, 5 LPTU',
      `bonded           2.5 LPT with its rewards, to ${COLD}`,
      'fees             0 wei',
      'lock 0           1 LPT, can be withdrawn',
      'lock 1           1 LPTU, from round 13',
      `node’s account   ${ACCOUNT}`,
      'balance          1 ETH, 5 LPTU',
      `bonded           2.5 LPT with its rewards, to ${ACCOUNT}`,
      'fees             0 wei',
      'lock 0           1 LPT, can be withdrawn',
      'lock 1           1 LPTU, from round 13',
      '',
    ].join('\n'),
  )
})

test('a price is shown and set by the node’s role', async () => {
  const price = { base: '1200', perGateway: [{ gateway: OTHER, weiPerPixel: '7/2' }] }
  const shown = await runAt('price show', { respond: () => ({ ...status, price }) })
  assert.equal(shown.out, `all gateways: 1200 wei per pixel\n${OTHER}: 7/2 wei per pixel\n`)
  const pays = await runAt('price show', {
    respond: ({ path }) => (path === '/status' ? { ...status, roles: ['gateway'] } : { MaxPrice: null }),
  })
  assert.equal(pays.out, 'no limit\n')
  const cases: readonly (readonly [string, string, string, Record<string, string>])[] = [
    [
      'orchestrator',
      `price set 0.5USD --pixels 3 --gateway ${OTHER} --persist`,
      '/setPriceForBroadcaster',
      {
        ...{ pricePerUnit: '1/2', pixelsPerUnit: '3', currency: 'USD' },
        ...{ broadcasterEthAddr: OTHER, persist: 'true' },
      },
    ],
    ['gateway', 'price set 1200', '/setBroadcastConfig', { maxPricePerUnit: '1200', pixelsPerUnit: '1' }],
    ['gateway', 'price set none', '/setBroadcastConfig', { maxPricePerUnit: '0', pixelsPerUnit: '1' }],
  ]
  for (const [role, line, path, values] of cases) {
    const { asked, code } = await runAt(line, { respond: () => ({ ...status, roles: [role] }) })
    assert.equal(code, 0)
    assert.deepEqual(asked, [{ method: 'POST', path, values }])
  }
  for (const [role, line] of [
    ['orchestrator', 'price set none'],
    ['gateway', 'price set 0'],
    ['gateway', `price set 5 --gateway ${OTHER}`],
  ] as const) {
    const { asked, code } = await runAt(line, { respond: () => ({ ...status, roles: [role] }) })
    assert.deepEqual([code, asked], [2, []], line)
  }
})

test('a gateway’s check says who would serve it and what is missing, and fails where nobody would', async () => {
  const orchestrator = { url: 'https://o:1', serves: true, address: ACCOUNT, weiPerPixel: '1200', why: null }
  const refusing = { ...orchestrator, serves: false, address: null, weiPerPixel: null, why: 'has no room' }
  const cause = {
    code: 'x',
    side: 'gateway',
    title: 't',
    says: 'the reserve is small',
    change: 'raise it by 1 ETH',
  }
  const funds = { depositWei: '1000000000000000000', reserveWei: '5' }
  const some = await runAt('gateway check', {
    respond: () => ({ orchestrators: [orchestrator, refusing], causes: [cause], funds }),
  })
  assert.equal(some.code, 0)
  assert.equal(
    some.out,
    [
      'deposit 1 ETH, reserve 5 wei',
      '1 of 2 orchestrators would serve this gateway',
      `  https://o:1 would: ${ACCOUNT}, for 1200 wei per pixel`,
      '  https://o:1 has no room',
      '',
      'the reserve is small',
      '  to change: raise it by 1 ETH',
      '',
    ].join('\n'),
  )
  const none = await runAt('gateway check --json', {
    respond: () => ({ orchestrators: [refusing], causes: [cause], funds: null }),
  })
  assert.deepEqual([none.code, (JSON.parse(none.out) as { serving: number }).serving], [1, 0])
})

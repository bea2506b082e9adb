import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ACCOUNT,
  COLD,
  HASH,
  OperateNode,
  OTHER,
  operateOutput,
  planned,
  runAt,
  sent,
  status,
  TOKEN,
} from '../../../test/fakes/operate-node.ts'
import { OPERATE_COMMANDS } from '../../config/operate-commands.ts'
import { runOperate } from './command.ts'

const { signal } = new AbortController()
const TRANSFER = `orchestrator transfer 1.5LPT ${OTHER}`

test('what is sent is shown first, asked for, sent and followed until it is mined', async () => {
  const { asked, code, out } = await runAt(TRANSFER, { answers: ['y'] })
  assert.deepEqual(
    asked.map(({ method, path, values }) => [method, path, values]),
    [
      [
        'POST',
        '/transferTokens',
        { amount: '1500000000000000000', to: OTHER, dryRun: 'true', from: ACCOUNT },
      ],
      ['POST', '/transferTokens', { amount: '1500000000000000000', to: OTHER, details: 'true' }],
    ],
  )
  assert.equal(
    out,
    [
      `sends 1.5 LPT to ${OTHER}`,
      `     calls LivepeerToken.transfer at ${TOKEN}`,
      `       to: ${OTHER}`,
      '       amount: 1.5 LPT',
      '     costs at most 0.0001 ETH of gas',
      `one transaction of ${ACCOUNT}, for at most 0.0001 ETH of gas`,
      `sends 1.5 LPT to ${OTHER}`,
      `  mined in block 9 as ${HASH}, for 5000 wei of gas`,
      '',
    ].join('\n'),
  )
  assert.equal(code, 0)
})

test('without a yes nothing is sent', async () => {
  for (const answer of ['', 'n', 'no', 'yesterday']) {
    const { asked, code, err } = await runAt(TRANSFER, { answers: [answer] })
    assert.equal(code, 1)
    assert.match(err, /nothing was done\n$/)
    assert.deepEqual(
      asked.map(({ values }) => values.dryRun),
      ['true'],
    )
  }
})

test('where nobody can be asked, nothing is asked of the node either', async () => {
  for (const [line, answers] of [
    [TRANSFER, undefined],
    [`${TRANSFER} --json`, ['y']],
  ] as const) {
    const { asked, code, err } = await runAt(line, answers ? { answers } : {})
    assert.deepEqual([code, asked.length], [2, 0])
    assert.equal(
      err,
      'livepeer orchestrator transfer asks before it goes on, and cannot here: give --yes, or --dry-run; --help shows the options\n',
    )
  }
})

test('--yes sends at once; --json prints one object, and all else beside it', async () => {
  const { code, err, out } = await runAt(`${TRANSFER} --yes --json`)
  assert.equal(code, 0)
  assert.deepEqual(JSON.parse(out), sent)
  assert.match(err, /^sends 1\.5 LPT/)
})

test('--dry-run says what would be sent, and sends nothing', async () => {
  const { asked, code, out } = await runAt(`${TRANSFER} --dry-run --json`)
  assert.equal(code, 0)
  assert.equal((JSON.parse(out) as { steps: unknown[] }).steps.length, 1)
  assert.deepEqual(
    asked.map(({ values }) => values.dryRun),
    ['true'],
  )
})

test('a refusal is shown in the words of the node', async () => {
  const refusal = 'execution reverted: ERC20: transfer amount exceeds balance'
  const { code, err } = await runAt(`${TRANSFER} --yes`, {
    respond: (asked) => (asked.path === '/status' ? status : { refusal }),
  })
  assert.deepEqual([code, err], [1, `${refusal}\n`])
})

test('a failure after something was sent names it', async () => {
  let isSent = false
  const { code, err } = await runAt(`${TRANSFER} --yes`, {
    respond: async (asked) => {
      if (asked.path === '/status')
        return isSent ? status : { ...status, chain: { ...status.chain, transactions: [] } }
      if (asked.values.dryRun === 'true') return planned
      isSent = true
      await new Promise((resolve) => setTimeout(resolve, 1_300))
      return { refusal: 'transaction failed' }
    },
  })
  assert.equal(code, 1)
  assert.match(err, new RegExp(`sent ${HASH} \\(transfer\\), waiting until it is mined\\n`))
  assert.match(err, new RegExp(`: transaction failed; sent: ${HASH} \\(transfer\\)\\n$`))
})

test('ending a command says what was sent, and that the node goes on with it', async () => {
  const stop = new AbortController()
  const held = Promise.withResolvers<unknown>()
  await using node = await OperateNode.start((asked) => {
    if (asked.path === '/status') return status
    return asked.values.dryRun === 'true' ? planned : held.promise
  })
  const output = operateOutput(`${TRANSFER} --yes --node ${node.port}`)
  const running = runOperate(output.env, stop.signal)
  while (!output.err().includes('waiting until it is mined'))
    await new Promise((done) => setTimeout(done, 20))
  stop.abort()
  assert.equal(await running, 1)
  assert.match(
    output.err(),
    new RegExp(`goes on with it; sent so far: ${HASH} \\(transfer\\); livepeer status shows`),
  )
  held.resolve(sent)
})

test('--unsigned prepares for the orchestrator that the node works for, and sends nothing', async () => {
  const { asked, code, files, out } = await runAt(`${TRANSFER} --unsigned t.json`)
  assert.equal(code, 0)
  assert.deepEqual(
    asked.map(({ values }) => [values.from, values.dryRun]),
    [[COLD, 'true']],
  )
  const file = JSON.parse(files.get('t.json')!) as { from: string; state: string; transactions: unknown[] }
  assert.deepEqual([file.from, file.state], [COLD, 'unsigned'])
  assert.deepEqual(file.transactions, [
    {
      ...{ about: `sends 1.5 LPT to ${OTHER}`, nonce: 7, gas: '100000', maxFeePerGas: '1000000000' },
      ...{ maxPriorityFeePerGas: '0', value: '0', to: TOKEN, data: '0xa9059cbb' },
    },
  ])
  assert.match(out, /written to t\.json, unsigned: livepeer tx sign t\.json signs it where the key of 0x90F7/)
})

test('what is done on the node itself is in no file, and is told', async () => {
  const { out } = await runAt(`${TRANSFER} --unsigned t.json`, {
    respond: (asked) => {
      if (asked.path === '/status') return status
      const steps = [...planned.steps, { step: 'setting the price', isDone: false, call: null }]
      return { ...planned, steps: [...steps, { step: 'bonding', isDone: true, call: null }] }
    },
  })
  assert.match(
    out,
    /\nnot in the file, since it is done on the node itself: setting the price \(livepeer price set\)\n$/,
  )
})

test('a file that is there is not overwritten', async () => {
  const { code, err, files } = await runAt(`${TRANSFER} --unsigned t.json`, { files: { 't.json': 'mine' } })
  assert.deepEqual([code, files.get('t.json')], [1, 'mine'])
  assert.match(err, /t\.json is there already/)
})

test('a step that was done before is told as done', async () => {
  const { out } = await runAt(`${TRANSFER} --dry-run`, {
    respond: (asked) =>
      asked.path === '/status'
        ? status
        : { ...planned, steps: [{ step: 'bonding', isDone: true, call: null }, ...planned.steps] },
  })
  assert.match(out, /^1\. bonding: done already\n2\. sends 1\.5 LPT/)
})

test('each command asks for what it says', async () => {
  const lines: readonly (readonly [string, string, Record<string, string>])[] = [
    [
      'orchestrator register --bond 1000LPT --reward-cut 10 --fee-cut 5.5 --price 1200wei --uri https://o.example:8935',
      '/activateOrchestrator',
      {
        ...{ amount: `1000${'0'.repeat(18)}`, blockRewardCut: '10', feeShare: '94.5', currency: 'wei' },
        ...{ pricePerUnit: '1200', pixelsPerUnit: '1', serviceURI: 'https://o.example:8935' },
      },
    ],
    [
      'orchestrator set --price 0.5USD --pixels 1000000 --persist',
      '/setOrchestratorConfig',
      { pricePerUnit: '1/2', pixelsPerUnit: '1000000', currency: 'USD', persist: 'true' },
    ],
    ['orchestrator bond 0.5lpt', '/bond', { amount: '500000000000000000', toAddr: ACCOUNT }],
    [`orchestrator bond 7LPTU --to ${OTHER}`, '/bond', { amount: '7', toAddr: OTHER }],
    ['orchestrator unbond all', '/unbond', { amount: 'all' }],
    ['orchestrator rebond 3', '/rebond', { unbondingLockId: '3' }],
    ['orchestrator withdraw-stake 0', '/withdrawStake', { unbondingLockId: '0' }],
    ['orchestrator withdraw-fees 0.2ETH', '/withdrawFees', { amount: '200000000000000000' }],
    ['orchestrator reward', '/reward', {}],
    ['gateway fund --deposit 0.2ETH', '/fundDeposit', { amount: '200000000000000000' }],
    [
      'gateway fund --deposit 100wei --reserve 1gwei',
      '/fundDepositAndReserve',
      { depositAmount: '100', reserveAmount: '1000000000' },
    ],
    ['gateway unlock', '/unlock', {}],
    ['gateway cancel-unlock', '/cancelUnlock', {}],
    ['gateway withdraw', '/withdraw', {}],
    ['vote 12 abstain', '/voteOnProposal', { proposalID: '12', support: '2' }],
    [`poll ${OTHER} no`, '/vote', { poll: OTHER, choiceID: '1' }],
    ['round init', '/initializeRound', {}],
  ]
  for (const [line, path, values] of lines) {
    const { asked, code, err } = await runAt(`${line} --yes`)
    assert.equal(code, 0, `${line}: ${err}`)
    assert.deepEqual(asked.at(-1), { method: 'POST', path, values: { ...values, details: 'true' } }, line)
  }
})

test('mistakes are refused before any node is asked', async () => {
  const mistakes: readonly (readonly [string, RegExp])[] = [
    [`orchestrator transfer 1.5 ${OTHER}`, /^AMOUNT: 1\.5 has no unit: write 1\.5LPT or 1\.5LPTU;/],
    [`orchestrator transfer 1.5ETH ${OTHER}`, /^AMOUNT: ETH is not a unit here: write LPT, LPTU;/],
    [`orchestrator transfer 0.1LPTU ${OTHER}`, /^AMOUNT: 0\.1LPTU is in LPTU, which has no fractions/],
    [`orchestrator transfer -1LPT ${OTHER}`, /./],
    [
      `orchestrator transfer 1LPT ${OTHER.replace('C44', 'c44')}`,
      /^ADDRESS: .* is not an address: write 0x and 40/,
    ],
    [`orchestrator transfer 1LPT 0x${'0'.repeat(40)}`, /the zero address is nobody’s/],
    ['orchestrator transfer 1LPT', /takes AMOUNT ADDRESS, not 1 arguments/],
    ['orchestrator withdraw-fees 1LPT', /^AMOUNT: LPT is not a unit here: write ETH, gwei, wei/],
    ['orchestrator rebond one', /^LOCK: failed to parse big integer/],
    ['orchestrator set', /nothing is to be changed/],
    ['orchestrator set --reward-cut 5', /--reward-cut and --fee-cut are set together/],
    ['orchestrator set --reward-cut 101 --fee-cut 1', /--reward-cut is a number from 0 to 100/],
    ['orchestrator set --uri http://o.example', /--uri is an address such as https/],
    ['orchestrator register --bond 1LPT', /orchestrator register needs --reward-cut/],
    ['gateway fund', /give --deposit, --reserve or both/],
    ['vote 1 maybe', /"maybe" is not a choice: one of against, for, abstain/],
    ['orchestrator walk', /livepeer orchestrator is followed by one of register, set, /],
    ['round', /livepeer round is followed by one of init, not by nothing/],
    ['orchestrator reward --bond 1LPT', /Unknown option '--bond'/],
    ['orchestrator reward --from 0x12 --dry-run', /^--from: /],
    [`orchestrator reward --from ${OTHER}`, /--from goes with --unsigned or --dry-run/],
    ['orchestrator reward --dry-run --unsigned x', /do not go together/],
    ['orchestrator reward --node nowhere', /has no port/],
  ]
  for (const [line, message] of mistakes) {
    const output = operateOutput(`${line} --yes`.replace('--node nowhere --yes', '--yes --node nowhere'))
    assert.equal(await runOperate(output.env, signal), 2, line)
    assert.match(output.err(), message)
    assert.match(output.err(), /--help shows the options\n$/)
    assert.equal(output.out(), '')
  }
})

test('each command has a help with its options and exit codes', async () => {
  for (const { name, options = [] } of OPERATE_COMMANDS) {
    const output = operateOutput([...name.split(' '), '--help'])
    assert.equal(await runOperate(output.env, signal), 0)
    assert.ok(output.out().startsWith(`Usage: livepeer ${name}`), name)
    for (const option of options)
      assert.ok(output.out().includes(`--${option.name}`), `${name} ${option.name}`)
    assert.match(output.out(), /The exit code is 0 if it was done/)
  }
})

test('what a node says cannot move the cursor of a terminal', async () => {
  const { code, out } = await runAt(`${TRANSFER} --dry-run`, {
    respond: (asked) => {
      if (asked.path === '/status') return status
      const [step] = planned.steps
      return { ...planned, steps: [{ ...step, call: { ...step!.call, about: 'sends\u001b[2J\nnothing' } }] }
    },
  })
  assert.equal(code, 0)
  assert.ok(out.startsWith('sends [2J nothing\n'), JSON.stringify(out))
})

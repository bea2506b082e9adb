import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { encodeFunctionData, recoverMessageAddress } from 'viem'
import { artifact } from '../../devnet/artifacts.ts'
import { freePort } from '../../devnet/free-port.ts'
import { contractId } from '../../src/io/chain/contracts.ts'
import type { Hex } from '../../src/lib/bytes.ts'
import { noTerminal, Terminal } from '../net/terminal.ts'
import { eventually } from '../tools/until.ts'
import { accountAt, ControlledChain, type LocalNode, LPT, type TestAccount } from './control-nodes.ts'

/** `livepeer_cli` at a pseudo-terminal, through each item of its menu, at real nodes on a chain with the contracts. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const ETHER = 10n ** 18n
const [registered, other, operator, sender] = [accountAt(1), accountAt(2), accountAt(3), accountAt(4)]
/** Contracts that accept every call. */
const GOVERNOR = '0x00000000000000000000000000000000000000a1'
const POLL = '0x00000000000000000000000000000000000000A2'
const URI = 'https://127.0.0.1:9034'

let chain: ControlledChain
let orchestrator: LocalNode
let gateway: LocalNode

const skip = noTerminal()

before(async () => {
  chain = await ControlledChain.start({ unbondingPeriod: 1n, unlockPeriod: 1n })
  const { anvil, protocol } = chain
  const terms = { stake: 1_000n * LPT, serviceUri: 'https://127.0.0.1:8935' }
  await protocol.bondAndRegister(registered.key, terms)
  for (const address of [GOVERNOR, POLL]) await anvil.request('anvil_setCode', [address, '0x00'])
  const governor = [contractId('LivepeerGovernor'), GOVERNOR, `0x${'00'.repeat(20)}`]
  await protocol.ownerCalls('Controller', 'setContractInfo', governor)
  await chain.fund(operator, { lpt: 1_000n })
  await chain.fund(sender, { lpt: 10n })
  await protocol.nextRound()
  const at = `127.0.0.1:${await freePort()}`
  const flags = `-orchSecret s -serviceAddr ${at} -httpAddr ${at} -startupAvailabilityCheck=false`
  orchestrator = await chain.node('o', `-orchestrator ${flags} -pricePerUnit 7 -reward=false`, operator)
  gateway = await chain.node('g', `-gateway -orchAddr https://${at} -httpAddr 127.0.0.1:0`, sender)
})
after(() => chain[Symbol.asyncDispose]())

type Answer = readonly [question: RegExp, keys: string]
const MENU = /Number of the item \(1\)/
const SEND: Answer = [/Send it\? \(y\/n\)/, 'y\r']

class Wizard implements AsyncDisposable {
  readonly terminal: Terminal
  #menu = ''

  constructor({ port }: LocalNode) {
    this.terminal = Terminal.open(`bin/livepeer_cli -host 127.0.0.1 -http ${port}`, { cwd: ROOT })
  }

  /** Chooses an item and answers each question once it is asked; what was shown until the menu was there again. */
  async item(title: string, ...answers: readonly Answer[]): Promise<string> {
    this.#menu = await this.terminal.sees(MENU)
    const number = this.#menu.split(/ (?=\d+\. )/).find((line) => line.includes(title))
    assert.ok(number, `${title} is not in ${this.#menu}`)
    this.terminal.press(`${number.split('.', 1)[0]}\r`)
    let shown = ''
    for (const [question, keys] of answers) {
      shown += await this.terminal.sees(question)
      this.terminal.press(keys)
    }
    return `${shown}${await this.terminal.sees(title === 'Exit' ? /Goodbye, my friend/ : MENU)}`
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.terminal[Symbol.asyncDispose]()
  }
}

const delegatorOf = async ({ address }: TestAccount) => {
  const [bonded, , to] = await chain.protocol.read<[bigint, bigint, string]>(
    'BondingManager',
    'getDelegator',
    [address],
  )
  return { bonded, to }
}
const lptOf = ({ address }: TestAccount) => chain.protocol.read('LivepeerToken', 'balanceOf', [address])
const termsOf = async ({ address }: TestAccount) => {
  const [, rewardCut, feeShare] = await chain.protocol.read<bigint[]>('BondingManager', 'getTranscoder', [
    address,
  ])
  const uri = await chain.protocol.read<string>('ServiceRegistry', 'getServiceURI', [address])
  return { rewardCut, feeShare, uri }
}

async function nextRound(...nodes: readonly LocalNode[]): Promise<void> {
  const round = (await chain.protocol.nextRound()).toString()
  for (const node of nodes) {
    const isThere = async () => (await node.ask('GET', '/currentRound')).text === round
    await eventually('the node knows the round', isThere)
  }
}

/** Gives the delegators of an orchestrator fees to withdraw, as the TicketBroker does for a winning ticket. */
async function payFees({ address }: TestAccount, wei: bigint): Promise<void> {
  const { bondingManager, minter, ticketBroker } = chain.protocol.addresses
  const round = await chain.protocol.read('RoundsManager', 'currentRound')
  await chain.anvil.setBalance(minter, ETHER)
  await chain.anvil.setBalance(ticketBroker, ETHER)
  await chain.anvil.request('anvil_impersonateAccount', [ticketBroker])
  const data = encodeFunctionData({
    ...{ abi: artifact('BondingManager').abi, functionName: 'updateTranscoderWithFees' },
    args: [address, wei, round],
  })
  const gas = '0x100000'
  await chain.anvil.request('eth_sendTransaction', [{ from: ticketBroker, to: bondingManager, data, gas }])
}

test('an orchestrator’s operator walks through the whole menu, and the chain shows what was done', {
  skip,
}, async () => {
  await using wizard = new Wizard(orchestrator)
  const started = await wizard.terminal.sees(MENU)
  assert.match(
    started,
    /NODE STATS.*LPT Balance \| +1000 LPT .*ORCHESTRATOR STATS.*Status \| +Not Registered/,
  )
  assert.match(started, /What would you like to do\? \(default = stats\).*25\. Exit/)

  assert.match(await wizard.item('Get node status'), /DELEGATOR STATS/)
  assert.match(await wizard.item('View protocol parameters'), /UnbondingPeriod \(Rounds\) \| +1 /)
  assert.match(await wizard.item('List registered'), new RegExp(`0 \\| ${registered.address} \\| true`))
  assert.match(
    await wizard.item('initialize round'),
    /The node refuses: could not initialize round: ErrRoundInitialized/,
  )

  const bonding = await wizard.item(
    '"bond"',
    [/you would like to bond to/, '0\r'],
    [/Enter bond amount/, '2000 LPT\r'],
    [/2000 LPT is more than the balance, 1000 LPT/, '100 LPT\r'],
    SEND,
  )
  assert.match(bonding, /BondingManager\.bondWithHint/)
  assert.match(bonding, /costs at most [\d.]+ ETH of gas/)
  assert.match(bonding, /bonds 100 LPT to 0x\w+.* mined in block \d+ as 0x/)
  assert.deepEqual(await delegatorOf(operator), { bonded: 100n * LPT, to: registered.address })

  await nextRound(orchestrator)
  const half = [/fully unbond\? \(y\/n\)/, 'n\r'] as const
  await wizard.item('"unbond"', half, [/Enter unbond amount/, '40 LPT\r'], SEND)
  assert.equal((await delegatorOf(operator)).bonded, 60n * LPT)
  await wizard.item('"rebond"', [/would like to rebond with/, '0\r'], SEND)
  assert.equal((await delegatorOf(operator)).bonded, 100n * LPT)

  assert.match(await wizard.item('withdraw fees'), /There are no fees to withdraw/)
  await wizard.item('"unbond"', half, [/Enter unbond amount/, '10 LPT\r'], SEND)
  await nextRound(orchestrator)
  await nextRound(orchestrator)
  await payFees(registered, ETHER / 1_000n)
  const before = await lptOf(operator)
  await wizard.item('withdraw stake', [/would like to withdraw with/, '1\r'], SEND)
  assert.equal(await lptOf(operator), before + 10n * LPT)
  assert.match(
    await wizard.item('withdraw fees', SEND),
    /pays 0\.0000\d+ ETH of earned fees.* mined in block/,
  )

  const sure = [/Are you sure you want to send 7 LPTU to "0x3C44\w+"\? \(y\/n\)/, 'y\r'] as const
  await wizard.item(
    '"transfer"',
    [/Enter recipient address/, '0x12\r'],
    [/"0x12" is not an address/, `${other.address}\r`],
    [/Enter amount/, '7\r'],
    sure,
  )
  assert.equal(await lptOf(other), 7n)

  await wizard.item('"unbond"', [/fully unbond\? \(y\/n\)/, 'y\r'], SEND)
  assert.equal((await delegatorOf(operator)).bonded, 0n)
  const becoming = await wizard.item(
    'become an orchestrator',
    [/Enter block reward cut percentage \(current=0\) - \(10\)/, '20\r'],
    [/Enter fee cut percentage \(current=100\) - \(95\)/, '80\r'],
    [/Enter amount of pixels that make up a single unit \(1\)/, '\r'],
    [/Enter the currency for the price per unit \(Wei\)/, '\r'],
    [/Enter the price for 1 pixels in Wei \(7\)/, '9\r'],
    [/Enter the public host:port of node/, `${URI}\r`],
    [/use one to rebond to yourself\? \(y\/n\)/, 'n\r'],
    [/Enter bond amount/, '500 LPT\r'],
    SEND,
  )
  assert.match(becoming, /mined in block/)
  assert.deepEqual(await delegatorOf(operator), { bonded: 500n * LPT, to: operator.address })
  assert.deepEqual(await termsOf(operator), { rewardCut: 200_000n, feeShare: 200_000n, uri: URI })

  await wizard.item(
    'Set orchestrator config',
    [/Enter block reward cut percentage \(current=20\) - \(20\)/, '\r'],
    [/Enter fee cut percentage \(current=80\) - \(80\)/, '12.5\r'],
    [/Enter amount of pixels/, '\r'],
    [/Enter the currency/, '\r'],
    [/Enter the price for 1 pixels in Wei \(9\)/, '\r'],
    [/Enter the public host:port of node \(https:\/\/127\.0\.0\.1:9034\)/, '\r'],
    SEND,
  )
  assert.deepEqual(await termsOf(operator), { rewardCut: 200_000n, feeShare: 875_000n, uri: URI })

  await nextRound(orchestrator)
  assert.match(await wizard.item('"reward"', SEND), /mints the reward.* mined in block/)
  assert.match(await wizard.item('"reward"'), /Reward for current round \d+ already called/)

  await wizard.item('Set maximum Ethereum gas price', [/Enter new maximum gas price/, '500 gwei\r'])
  assert.equal((await orchestrator.ask('GET', '/maxGasPrice')).text, '500000000000')
  await wizard.item('Set minimum Ethereum gas price', [/Enter new minimum gas price/, '7\r'])
  assert.equal((await orchestrator.ask('GET', '/minGasPrice')).text, '7')

  const poor = await lptOf(operator)
  await wizard.item('Get test LPT', SEND)
  assert.ok((await lptOf(operator)) > poor)
  await wizard.item('Get test ETH', [/Press enter to go on/, '\r'])

  const signed = await wizard.item('Sign a message', [/message to sign/, 'hello\rworld\r\x04'])
  const signature = /Signature: (0x[0-9a-f]{130}) /.exec(signed)![1] as Hex
  assert.equal(await recoverMessageAddress({ message: 'hello\nworld', signature }), operator.address)
  const typed =
    '{"types":{"EIP712Domain":[{"name":"name","type":"string"}],"Mail":[{"name":"text","type":"string"}]},"primaryType":"Mail","domain":{"name":"d"},"message":{"text":"hello"}}'
  assert.match(
    await wizard.item('Sign typed data', [/typed data to sign/, `${typed}\r\x04`]),
    /Signature: 0x[0-9a-f]{130} /,
  )

  const voted = await wizard.item(
    'Vote in a governance poll',
    [/contract address for the poll/, `${POLL}\r`],
    [/choice you want to vote for/, '1\r'],
    [/want to vote "No"\? \(y\/n\)/, 'y\r'],
    SEND,
  )
  const proposed = await wizard.item(
    'Vote on a treasury proposal',
    [/proposal ID/, '5\r'],
    [/choice you want to vote for/, '2\r'],
    [/want to vote "Abstain"\? \(y\/n\)/, 'y\r'],
    [/provide a reason for your vote\? \(y\/n\)/, 'y\r'],
    [/Enter your reason/, 'because\r'],
    SEND,
  )
  for (const [shown, to] of [
    [voted, POLL],
    [proposed, GOVERNOR],
  ] as const) {
    const hash = / as (0x[0-9a-f]{64})/.exec(shown)![1]!
    const sent = await chain.anvil.request<{ to: string }>('eth_getTransactionByHash', [hash])
    assert.equal(sent.to.toLowerCase(), to.toLowerCase())
  }

  await wizard.item('Set max ticket face value', [/max ticket face value/, '0.01 ETH\r'])
  await wizard.item(
    'Set price for broadcaster',
    [/ETH address of the broadcaster \(default\)/, `${other.address}\r`],
    [/Enter pixels per unit/, '10\r'],
    [/Enter currency/, '\r'],
    [/Enter price per unit/, '12\r'],
  )
  await wizard.item('Set maximum sessions', [/maximum # of sessions/, '-5\r'], [/greater than zero/, '12\r'])
  const status = await orchestrator.json('/status')
  assert.equal((status.BroadcasterPrices as Record<string, string>)[other.address.toLowerCase()], '6/5')
  assert.match(JSON.stringify(status.settings), /"maxFaceValue".*"10000000000000000"/)
  assert.match(JSON.stringify(status.settings), /"maxSessions".*"12"/)

  await chain.anvil.mine(Number(chain.protocol.parameters.roundLength))
  await eventually(
    'the node sees the round',
    async () => (await orchestrator.ask('GET', '/roundInitialized')).text === 'false',
  )
  await wizard.item('initialize round', SEND)
  assert.equal(await chain.protocol.read<boolean>('RoundsManager', 'currentRoundInitialized'), true)

  await wizard.item('Exit')
  assert.equal(await wizard.terminal.exited(), 0)
})

test('a gateway’s operator funds, unlocks and withdraws; Ctrl-C sends nothing', { skip }, async () => {
  const funds = async () => {
    const [{ deposit }, { fundsRemaining }] = await chain.protocol.read<
      [{ deposit: bigint }, { fundsRemaining: bigint }]
    >('TicketBroker', 'getSenderInfo', [sender.address])
    return { deposit, reserve: fundsRemaining }
  }
  await using wizard = new Wizard(gateway)
  const amounts: Answer[] = [
    [/Enter deposit amount in ETH/, '1\r'],
    [/Enter reserve amount in ETH/, '0.5\r'],
  ]
  await wizard.item('deposit broadcasting', ...amounts, SEND)
  assert.deepEqual(await funds(), { deposit: ETHER, reserve: ETHER / 2n })
  await wizard.item('"unlock', [/initiate the unlock period\? \(y\/n\)/, 'y\r'])
  await wizard.item('"cancel unlock', [/cancel the unlock period\? \(y\/n\)/, 'y\r'])
  assert.match(
    await wizard.item('"withdraw broadcasting'),
    /not unlocked: sender's deposit and reserve are locked/,
  )
  await wizard.item('"unlock', [/initiate the unlock period\? \(y\/n\)/, 'y\r'])
  await nextRound(gateway)
  await nextRound(gateway)
  await wizard.item('"withdraw broadcasting', [/Would you like to withdraw\? \(y\/n\)/, 'y\r'])
  assert.deepEqual(await funds(), { deposit: 0n, reserve: 0n })
  await wizard.item(
    'Set broadcast config',
    [/Enter amount of pixels/, '\r'],
    [/Enter the currency/, '\r'],
    [/Enter the maximum price/, '500\r'],
    [/identifiers of the video profiles/, '5, 0\r'],
  )
  const config = { MaxPrice: '500', TranscodingOptions: 'P360p30fps16x9,P144p30fps16x9' }
  assert.deepEqual(await gateway.json('/getBroadcastConfig'), config)
  assert.match(await wizard.item('Set max price per capability'), /nothing was set/)

  const deposit = (await wizard.terminal.sees(MENU))
    .split(/ (?=\d+\. )/)
    .find((line) => line.includes('deposit'))!
  wizard.terminal.press(`${deposit.split('.', 1)[0]}\r`)
  for (const [question, keys] of amounts) {
    await wizard.terminal.sees(question)
    wizard.terminal.press(keys)
  }
  await wizard.terminal.sees(SEND[0])
  wizard.terminal.press('\x03')
  assert.equal(await wizard.terminal.exited(), 130)
  assert.deepEqual(await funds(), { deposit: 0n, reserve: 0n })
})

test('Ctrl-D at the menu ends the wizard, at a question without having sent anything', { skip }, async () => {
  await using atMenu = new Wizard(gateway)
  await atMenu.terminal.sees(MENU)
  atMenu.terminal.press('\x04')
  assert.equal(await atMenu.terminal.exited(), 0)
  await using atQuestion = new Wizard(gateway)
  await atQuestion.terminal.sees(MENU)
  atQuestion.terminal.press('11\r')
  await atQuestion.terminal.sees(/Enter deposit amount in ETH/)
  atQuestion.terminal.press('\x04')
  await atQuestion.terminal.sees(/the input has ended: nothing was sent/)
  assert.equal(await atQuestion.terminal.exited(), 1)
})

/** The program with a pipe in place of a terminal. */
function piped(args: readonly string[], { port } = gateway) {
  const child = spawn('bin/livepeer_cli', ['-host', '127.0.0.1', '-http', String(port), ...args], {
    cwd: ROOT,
  })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  return { child, exited, out: () => out }
}

test('a script feeds its answers by a pipe, and an open pipe does not outlast an interruption', async () => {
  const before = await lptOf(other)
  const script = piped(['-yes'])
  script.child.stdin.end(`10\n${other.address}\n7\ny\n23\n`)
  assert.equal(await script.exited, 0, script.out())
  assert.equal(await lptOf(other), before + 7n)
  const open = piped([])
  open.child.stdin.write(`10\n${other.address}\n7\n`)
  await eventually('it asks', () => open.out().includes('Are you sure'))
  open.child.kill('SIGINT')
  assert.equal(await open.exited, 130)
  assert.equal(await lptOf(other), before + 7n)
})

test('a reward service has reward in its menu, and a node shows the orchestrator that it works for, not its own account', async () => {
  const at = `127.0.0.1:${await freePort()}`
  const flags = `-serviceAddr ${at} -httpAddr ${at} -startupAvailabilityCheck=false -pricePerUnit 7`
  const x = `-ethOrchAddr ${registered.address}`
  const nodes = [
    await chain.node('w', '-reward', registered),
    await chain.node('hot', `-orchestrator -orchSecret s ${x} ${flags}`, other),
  ]
  const [ofService, ofHot] = await Promise.all(
    nodes.map(async (node) => {
      const { child, exited, out } = piped([], node)
      child.stdin.end()
      assert.equal(await exited, 0, out())
      return out().replace(/\s+/g, ' ')
    }),
  )
  assert.match(ofService!, /11\. Invoke "reward".*22\. Exit/)
  assert.match(ofHot!, new RegExp(`Orchestrator \\(registered\\) \\| ${registered.address} `))
  assert.match(ofHot!, new RegExp(`Orchestrator Account \\| ${other.address} `))
  assert.match(
    ofHot!,
    new RegExp(`ORCHESTRATOR STATS.* Address \\| ${registered.address} .* Status \\| Registered `),
  )
})

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Anvil } from '../../devnet/anvil.ts'
import { freePort } from '../../devnet/free-port.ts'
import { writePassword } from '../../devnet/funded-chain.ts'
import { NodeProcess } from '../../devnet/node-process.ts'
import { Protocol } from '../../devnet/protocol.ts'
import { runOperate } from '../../src/commands/operate/command.ts'
import { readTextFile, writeNewFile } from '../../src/config/files.ts'
import { writeKeyFile } from '../../src/io/chain/keystore.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { type Address, addressOfKey, keccak256 } from '../../src/lib/crypto.ts'
import { until } from '../tools/until.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

/**
 * An operator's way from an empty machine to the withdrawn stake, by the commands alone: with the key on the node, and with
 * the registered key on a machine that no node reaches. The chain is read back.
 */

const LPT = 10n ** 18n
const ETHER = 10n ** 18n
const BIN = fileURLToPath(new URL('../../bin/livepeer', import.meta.url))
const SEGMENTS = 3
/** More blocks than ticket params are valid for. */
const PARAMS_LIFETIME = 45

let folder: string
let anvil: Anvil
let protocol: Protocol
let passwordFile: string
let gateway: Started
const running: NodeProcess[] = []

interface Started {
  readonly process: NodeProcess
  /** Of its control API. */
  readonly port: string
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'livepeer-operating-'))
  anvil = await Anvil.start()
  protocol = await Protocol.deploy(anvil, { roundLength: 400n, unbondingPeriod: 1n })
  passwordFile = await writePassword(folder)
})
after(async () => {
  await Promise.all(running.map((one) => one.stop()))
  await anvil?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** An account for a node, whose file takes less work to open than a new one. */
async function accountFor(name: string): Promise<Address> {
  const key = keccak256(Buffer.from(name))
  await writeKeyFile(join(folder, name, 'keystore'), key, 'devnet', { scryptN: 2 ** 12 })
  return addressOfKey(key)
}

async function started(name: string, flags: readonly string[]): Promise<Started> {
  const port = String(await freePort())
  const control = `127.0.0.1:${port}`
  const process = new NodeProcess({
    ...{ name, control },
    flags: [
      ...[
        ...flags,
        '-network',
        'devnet',
        '-ethUrl',
        anvil.url,
        '-ethController',
        protocol.addresses.controller,
      ],
      ...['-ethPassword', passwordFile, '-blockPollingInterval', '1', '-dataDir', join(folder, name)],
      ...['-cliAddr', control],
    ],
  })
  running.push(process)
  await process.start()
  return { process, port }
}

/** Runs a command as the program does. Returns what it wrote. */
async function livepeer(line: string): Promise<string> {
  let [out, err] = ['', '']
  const code = await runOperate(
    {
      ...{ argv: line.split(' '), variables: {}, readText: readTextFile, writeNew: writeNewFile },
      ...{ clock: systemClock, ask: null, askHidden: null },
      write: (text) => {
        out += text
      },
      writeError: (text) => {
        err += text
      },
    },
    new AbortController().signal,
  )
  assert.equal(code, 0, `livepeer ${line}: ${err}`)
  return out
}

const fund = async (account: Address, lpt: bigint) => {
  await anvil.setBalance(account, 100n * ETHER)
  if (lpt > 0n) await protocol.ownerCalls('LivepeerToken', 'transfer', [account, lpt])
}
const tokens = (account: Address) => protocol.read('LivepeerToken', 'balanceOf', [account])
const delegator = async (account: Address) => {
  const [bonded, , to] = await protocol.read<[bigint, bigint, Address]>('BondingManager', 'getDelegator', [
    account,
  ])
  return { bonded, to }
}
const cuts = async (account: Address) => {
  const [, rewardCut, feeShare] = await protocol.read<bigint[]>('BondingManager', 'getTranscoder', [account])
  return [rewardCut, feeShare]
}
const uriOf = (account: Address) => protocol.read<string>('ServiceRegistry', 'getServiceURI', [account])
const isActive = (account: Address) =>
  protocol.read<boolean>('BondingManager', 'isActiveTranscoder', [account])

/** The flags of an orchestrator at this port, which calls no reward by itself. */
const orchestratorFlags = (port: number) => [
  ...['-orchestrator', '-transcoder', '-serviceAddr', `127.0.0.1:${port}`, '-httpAddr', `127.0.0.1:${port}`],
  ...['-reward=false', ...EVERY_TICKET_WINS.orchestrator],
]

/** Streams until some segments are paid and their tickets redeemed. */
async function earn(): Promise<void> {
  const { redeemed } = await protocol.redemptions()
  {
    await using load = await TinyLoad.start(gatewayUrl, 1, { pauseMs: 50 })
    await until(async () => (load.served >= SEGMENTS ? true : null), 'the segments')
  }
  await anvil.mine(PARAMS_LIFETIME)
  await until(
    async () => ((await protocol.redemptions()).redeemed >= redeemed + SEGMENTS ? true : null),
    'the redemptions',
  )
}
let gatewayUrl: string

test('with the key on the node', async () => {
  const port = await freePort()
  const { port: control, process } = await started('orchestrator', orchestratorFlags(port))
  const status = JSON.parse(await livepeer(`orchestrator status --json --node ${control}`)) as {
    account: { address: Address }
  }
  const account = status.account.address
  await fund(account, 1_000n * LPT)

  // The program itself, once.
  const uri = `https://127.0.0.1:${port}`
  const registering = `orchestrator register --bond 600LPT --reward-cut 10 --fee-cut 5.5 --price 70gwei --uri ${uri} --node ${control} --yes`
  const { stdout } = await promisify(execFile)(BIN, registering.split(' '))
  assert.match(stdout, /bonding: .*\n[\s\S]*setting the cuts: .*\n[\s\S]*registering the address: .*\n/)
  const { bonded, to } = await delegator(account)
  assert.deepEqual([bonded, to, await tokens(account)], [600n * LPT, account, 400n * LPT])
  assert.deepEqual(await cuts(account), [100_000n, 945_000n])
  assert.equal(await uriOf(account), uri)
  assert.equal(await livepeer(`price show --node ${control}`), 'all gateways: 70000000000 wei per pixel\n')

  const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
  const httpPort = await freePort()
  gatewayUrl = `http://127.0.0.1:${httpPort}`
  const payer = await accountFor('gateway')
  await fund(payer, 0n)
  gateway = await started('gateway', [
    ...[
      '-gateway',
      '-httpAddr',
      `127.0.0.1:${httpPort}`,
      '-rtmpAddr',
      'none',
      '-transcodingOptions',
      profiles,
    ],
    ...['-maxTicketEV', '1000000000000000000', '-maxTotalEV', '10000000000000000000'],
  ])
  await protocol.nextRound()
  await anvil.mineEvery(1)
  // The number that is missing is named.
  await until(
    async () => ((await check()).causes[0]?.says.includes('has no deposit to pay with') ? true : null),
    'the answer that a deposit is missing',
  )
  await livepeer(`gateway fund --deposit 40ETH --reserve 40ETH --yes --node ${gateway.port}`)
  assert.deepEqual(await senderOf(payer), [40n * ETHER, 40n * ETHER])
  assert.equal(await isActive(account), true)
  await until(async () => ((await check()).serving === 1 ? true : null), 'an orchestrator that would serve')
  await earn()

  const before = await stakeOf(account)
  await livepeer(`orchestrator reward --yes --node ${control}`)
  assert.ok((await stakeOf(account)) > before)
  await protocol.nextRound()
  const ether = await balance(account)
  await livepeer(`orchestrator withdraw-fees all --yes --node ${control}`)
  const earned = (await balance(account)) - ether
  assert.ok(earned > ETHER / 100n, `${earned} wei of fees, less the gas`)
  await livepeer(`orchestrator unbond all --yes --node ${control}`)
  assert.equal((await delegator(account)).bonded, 0n)
  await protocol.nextRound()
  await protocol.nextRound()
  assert.match(await livepeer(`orchestrator status --node ${control}`), /lock 0 .* LPT, can be withdrawn/)
  await livepeer(`orchestrator withdraw-stake 0 --yes --node ${control}`)
  assert.ok((await tokens(account)) > 1_000n * LPT, 'all that was bonded, and the rewards')
  await process.stop()
})

test('with the registered key where no node is', async () => {
  const key = keccak256(Buffer.from('offline'))
  const [registered, keystore] = [addressOfKey(key), join(folder, 'offline')]
  await writeKeyFile(keystore, key, 'offline', { scryptN: 2 ** 12 })
  await fund(registered, 1_000n * LPT)
  const port = await freePort()
  await fund(await accountFor('hot'), 0n)
  const { port: control } = await started('hot', [...orchestratorFlags(port), '-ethOrchAddr', registered])
  const { bondingManager, serviceRegistry, token } = protocol.addresses
  const named = [
    `BondingManager=${bondingManager}`,
    `LivepeerToken=${token}`,
    `ServiceRegistry=${serviceRegistry}`,
  ]
  const contracts = named.map((one) => `--contract ${one}`).join(' ')
  let count = 0
  const offline = async (line: string) => {
    const file = join(folder, `${++count}.json`)
    await livepeer(`${line} --unsigned ${file} --node ${control}`)
    const checks = `--chain-id ${anvil.chainId} ${contracts} --max-cost 1ETH --yes`
    await livepeer(`tx sign ${file} --ethKeystorePath ${keystore} --ethPassword offline ${checks}`)
    const sending = `tx send ${file}.signed --node ${control} ${checks}`
    const sent = await livepeer(sending)
    // Once more does no harm.
    assert.doesNotMatch(await livepeer(sending), /sent 0x/)
    return sent
  }

  const uri = `https://127.0.0.1:${port}`
  const sent = await offline(
    `orchestrator register --bond 600LPT --reward-cut 20 --fee-cut 50 --price 70gwei --uri ${uri}`,
  )
  assert.equal(sent.match(/mined in block/g)?.length, 4)
  assert.deepEqual(await delegator(registered), { bonded: 600n * LPT, to: registered })
  assert.deepEqual(await cuts(registered), [200_000n, 500_000n])
  assert.equal(await uriOf(registered), uri)
  await protocol.nextRound()
  assert.equal(await isActive(registered), true)
  await until(async () => ((await check()).serving === 1 ? true : null), 'an orchestrator that would serve')
  await earn()

  const before = await stakeOf(registered)
  await offline('orchestrator reward')
  assert.ok((await stakeOf(registered)) > before)
  await protocol.nextRound()
  const ether = await balance(registered)
  await offline('orchestrator withdraw-fees all')
  assert.ok((await balance(registered)) > ether)
  await offline('orchestrator unbond all')
  await protocol.nextRound()
  await protocol.nextRound()
  await offline('orchestrator withdraw-stake 0')
  assert.ok((await tokens(registered)) > 1_000n * LPT)
})

const balance = async (account: Address) =>
  BigInt(await anvil.request<string>('eth_getBalance', [account, 'latest']))
const stakeOf = (account: Address) => protocol.read('BondingManager', 'pendingStake', [account, 0n])
const check = async () => {
  let out = ''
  await runOperate(
    {
      ...{
        argv: ['gateway', 'check', '--json', '--node', gateway.port],
        variables: {},
        readText: () => null,
      },
      ...{ writeNew: () => {}, clock: systemClock, ask: null, askHidden: null, writeError: () => {} },
      write: (text) => {
        out += text
      },
    },
    new AbortController().signal,
  )
  return JSON.parse(out) as { serving: number; causes: { says: string }[] }
}
const senderOf = async (account: Address) => {
  const [sender, reserve] = await protocol.read<[{ deposit: bigint }, { fundsRemaining: bigint }]>(
    'TicketBroker',
    'getSenderInfo',
    [account],
  )
  return [sender.deposit, reserve.fundsRemaining]
}

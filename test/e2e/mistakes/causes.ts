import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { devnetKey, devnetKeyBytes } from '../../../devnet/artifacts.ts'
import { freePort } from '../../../devnet/free-port.ts'
import { readAnswer } from '../../../src/commands/status/answer.ts'
import { problemsOf } from '../../../src/commands/status/problems.ts'
import { defaultCapabilities } from '../../../src/domain/capabilities.ts'
import type { OrchestratorInfo } from '../../../src/domain/segment.ts'
import { winProbFor } from '../../../src/domain/ticket-params.ts'
import { writeKeyFile } from '../../../src/io/chain/keystore.ts'
import type { Hex } from '../../../src/lib/bytes.ts'
import { addressOfKey } from '../../../src/lib/crypto.ts'
import type { NodeStatus } from '../../../src/node/status/status.ts'
import { OrchestratorError } from '../../../src/services/orchestrator/orchestrator-error.ts'
import { INFO, startEndpoint } from '../../fakes/endpoint.ts'
import { makeSegment } from '../../media/media.ts'
import { eventually } from '../../tools/until.ts'
import type { Mistake, Place, RunningNode } from '../mistake.ts'

const BIN = fileURLToPath(new URL('../../../bin/livepeer', import.meta.url))
const ETHER = 10n ** 18n
const READY_MS = 60_000

const GATEWAY = '-gateway -monitor -httpAddr 127.0.0.1:{port} -orchAddr 127.0.0.1:{port2}'
/** A gateway on chain, whose account is the only one in its keystore. */
const PAYING = `${GATEWAY} -ethPassword devnet {chain}`
const ORCHESTRATOR =
  '-orchestrator -monitor -orchSecret s -pricePerUnit 1000 -startupAvailabilityCheck=false -ethPassword devnet {chain}'
const HANDING_OVER = `${ORCHESTRATOR} -ethOrchAddr {address:orchestrator} -serviceAddr 127.0.0.1:{port} -redeemerAddr 127.0.0.1:{port2}`

/** Starts a node beside that of the row, with a keystore of its own, and waits until it is ready. */
async function startBeside(place: Place, name: string, flags: string, key?: string): Promise<void> {
  const data = join(place.folder, name)
  await mkdir(data)
  if (key) await writeKeyFile(join(data, 'keystore'), devnetKeyBytes(key), 'devnet', { scryptN: 2 ** 12 })
  const control = `127.0.0.1:${await freePort()}`
  const given = place.fill(flags).split(/ +/)
  if (given.includes('-gateway')) given.push('-rtmpAddr', 'none')
  const child = spawn(BIN, [...given, '-dataDir', data, '-cliAddr', control], {
    cwd: place.folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, HOME: place.folder },
  })
  let log = ''
  child.stderr.on('data', (chunk) => {
    log += chunk
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  place.defer(async () => {
    child.kill('SIGKILL')
    await ended
  })
  // An orchestrator without transcoders has started, but is not ready by its health.
  const isReady = () => / INFO +ready /.test(log)
  await eventually(`${name} is ready`, isReady, READY_MS).catch((error) => assert.fail(`${error}\n${log}`))
}

/** What the orchestrator of a row offers at {port2}, beside what every one does; an error is its refusal. */
const offering = (
  offer: (place: Place) => Promise<Partial<OrchestratorInfo> | OrchestratorError>,
  transcode?: () => Promise<void>,
) => {
  return async (place: Place) => {
    const endpoint = await startEndpoint({ port: Number(place.fill('{port2}')) })
    place.defer(() => endpoint[Symbol.asyncDispose]())
    if (transcode) endpoint.api.onTranscode = transcode
    const authToken = { token: Uint8Array.of(1), sessionId: 'abcd', expiration: 2n ** 40n }
    endpoint.api.onInfo = async () => {
      const told = await offer(place)
      if (told instanceof Error) throw told
      const capabilities = defaultCapabilities('0.9.1')
      return { ...INFO, authToken, capabilities, transcoder: endpoint.url, ...told }
    }
    publish(place)
  }
}

/** An offer on chain: tickets of this face value, and worth this much, in wei. */
const tickets = (faceValue: bigint, ev: bigint) => async (place: Place) => {
  const recipient = addressOfKey(devnetKeyBytes('orchestrator'))
  const { anvil } = await place.chain()
  const block = BigInt(await anvil.request<Hex>('eth_blockNumber'))
  return {
    address: recipient,
    priceInfo: { pricePerUnit: 1000n, pixelsPerUnit: 1n },
    ticketParams: {
      ...{ recipient, faceValue, winProb: winProbFor(ev, faceValue), seed: 1n },
      ...{ recipientRandHash: new Uint8Array(32).fill(1), expirationBlock: block + 1_000n },
      expirationParams: { creationRound: 1n, creationRoundBlockHash: new Uint8Array(32).fill(1) },
    },
  }
}

/** The registered orchestrator itself at {port2}, on chain: what it refuses is the network's own refusal. */
const registered = async (place: Place) => {
  const flags =
    '-orchestrator -transcoder -serviceAddr 127.0.0.1:{port2} -pricePerUnit 1000 -ethPassword devnet {chain}'
  await startBeside(place, 'orchestrator', flags, 'orchestrator')
  publish(place)
}

/** What publishers were answered, by the folder of the row. */
const answers = new Map<string, string[]>()
let stream = 0

/** Pushes segments to the gateway at {port}, about one a second, until the row is over. Answers come in order. */
function publish(place: Place, bytes: Uint8Array = new Uint8Array(64)): string[] {
  const stop = new AbortController()
  const answers: string[] = []
  const url = `${place.fill('http://127.0.0.1:{port}/live')}/row${stream++}`
  const pushing = (async () => {
    for (let seq = 0; !stop.signal.aborted; seq++) {
      const { signal } = stop
      const body = bytes as Uint8Array<ArrayBuffer>
      await fetch(`${url}/${seq}.ts`, {
        method: 'PUT',
        body,
        headers: { 'content-duration': '2000' },
        signal,
      })
        .then(async (answer) => answers.push(await answer.text()))
        .catch(() => {})
      await sleep(1_000, undefined, { signal }).catch(() => {})
    }
  })()
  place.defer(async () => {
    stop.abort()
    await pushing
  })
  return answers
}

/** What /status and /metrics tell of a cause. */
async function shownAs({ metrics, status }: RunningNode, code: string, side: string): Promise<void> {
  const { causes = [] } = await status<NodeStatus>()
  const cause = causes.find((one) => one.code === code)
  assert.ok(cause, `${code} in ${JSON.stringify(causes)}`)
  assert.equal(cause.side, side)
  assert.ok(cause.count >= 1 && cause.says !== '' && cause.change !== '')
  const text = await metrics()
  assert.match(text, new RegExp(`^livepeer_problem\\{.*cause="${code}".*\\} 1$`, 'm'))
  assert.match(text, new RegExp(`^livepeer_problem_occurrences_total\\{.*cause="${code}".*\\} [1-9]`, 'm'))
}

/** A gateway on chain whose stream finds no orchestrator. */
function paying(row: {
  readonly name: string
  readonly flags?: string
  readonly key?: string
  readonly says: RegExp
  readonly flag: string | null
  readonly code: string
  readonly prepare: (place: Place) => Promise<unknown>
}): Mistake {
  const { code, flags = '', key = 'gateway', ...rest } = row
  return {
    ...{ ...rest, ends: 'runs', keys: [key] },
    flags: `${PAYING} ${flags}`.trim(),
    check: (node) => shownAs(node, code, 'gateway'),
  }
}

/** What keeps a node from its work although it runs: each with its beginning in the log, in status and in metrics. */
export const mistakes: readonly Mistake[] = [
  {
    name: 'an orchestrator that is not running',
    flags: GATEWAY,
    prepare: async (place) => {
      answers.set(place.folder, publish(place, await makeSegment({ durationMs: 2_000 })))
    },
    ends: 'runs',
    says: /WARN .*orchestrators do not answer .*the only orchestrator does not answer: https:\/\/127\.0\.0\.1:{port2} \(/,
    flag: '-orchAddr',
    check: async (node) => {
      await shownAs(node, 'orchestrators-silent', 'orchestrator')
      const told = answers.get(node.folder)!
      await eventually('it is counted', () => told.length > 2)
      const [first, second] = told[0]!.split('\n')
      assert.equal(first, 'No sessions available')
      assert.match(second!, /^the only orchestrator does not answer: https:\/\/127\.0\.0\.1:\d+ \(/)
      const begun = node.log().match(/WARN .*orchestrators do not answer/g)!.length
      assert.equal(begun, 1, 'one line, however often it occurs')
      await startBeside(node, 'orchestrator', '-orchestrator -transcoder -serviceAddr 127.0.0.1:{port2}')
      await node.says(/INFO .*over: orchestrators do not answer .*occurrences=([2-9]|\d\d)/)
      const { causes } = await node.status<NodeStatus>()
      assert.equal(causes, undefined)
      assert.match(await node.metrics(), /^livepeer_problem\{.*cause="orchestrators-silent".*\} 0$/m)
    },
  },
  {
    name: 'no orchestrator at all',
    flags: '-gateway -monitor -httpAddr 127.0.0.1:{port}',
    prepare: async (place) => void publish(place),
    ends: 'runs',
    says: /WARN .*no orchestrator known .*no orchestrator is listed/,
    flag: '-orchAddr',
    check: (node) => shownAs(node, 'no-orchestrators', 'gateway'),
  },
  {
    name: 'a webhook for orchestrators that is not running',
    flags:
      '-gateway -monitor -httpAddr 127.0.0.1:{port} -orchWebhookUrl http://127.0.0.1:{port2}/list?key=swordfish',
    prepare: async (place) => void publish(place),
    ends: 'runs',
    says: /WARN .*webhook for orchestrators fails .*the webhook http:\/\/127\.0\.0\.1:{port2} of -orchWebhookUrl gives no list \(connect ECONNREFUSED/,
    flag: '-orchWebhookUrl',
    check: async (node) => {
      await shownAs(node, 'orchestrator-webhook-failing', 'operator')
      assert.doesNotMatch(node.log(), /swordfish/)
    },
  },
  {
    name: 'a webhook for publishers that is not running',
    flags: `${GATEWAY} -authWebhookUrl http://127.0.0.1:{port2}/hook?key=swordfish`,
    prepare: async (place) => void answers.set(place.folder, publish(place)),
    ends: 'runs',
    says: /WARN .*webhook for publishers fails .*the webhook http:\/\/127\.0\.0\.1:{port2} of -authWebhookUrl does not decide on new streams \(connect ECONNREFUSED/,
    flag: '-authWebhookUrl',
    check: async (node) => {
      await shownAs(node, 'auth-webhook-failing', 'operator')
      const told = answers.get(node.folder)!
      await eventually('an answer', () => told.length > 0)
      assert.match(
        told[0]!,
        /^Could not create stream ID: url=\/live\/row\d+\/\d+\.ts err=the webhook that decides/,
      )
      assert.doesNotMatch(node.log() + told.join(), /swordfish/)
    },
  },
  {
    name: 'a verifier of results that is not running',
    flags: `${GATEWAY} -verifierUrl http://127.0.0.1:1/verify?key=swordfish -verifierPath shared`,
    files: { shared: null },
    prepare: async (place) => {
      const flags = '-orchestrator -transcoder -serviceAddr 127.0.0.1:{port2}'
      await startBeside(place, 'orchestrator', flags)
      answers.set(place.folder, publish(place, await makeSegment({ durationMs: 1_000 })))
    },
    ends: 'runs',
    says: /WARN .*verifier of results fails .*the verifier http:\/\/127\.0\.0\.1:1 of -verifierUrl does not judge results \(.*ECONNREFUSED.*served without its verdict/,
    flag: '-verifierUrl',
    check: async (node) => {
      await shownAs(node, 'verifier-failing', 'operator')
      const told = answers.get(node.folder)!
      await eventually('the stream goes on', () => told.filter((text) => text === '').length > 1)
      assert.match(await node.metrics(), /^livepeer_verifier_results_total\{.*verdict="none".*\} [1-9]/m)
      assert.doesNotMatch(node.log(), /swordfish/)
      const shared = join(node.folder, 'shared')
      await eventually('no file is left', async () => (await readdir(shared)).length === 0)
    },
  },
  {
    name: 'an orchestrator that is too old',
    flags: `${GATEWAY} -orchMinLivepeerVersion 99.0.0`,
    prepare: offering(async () => ({})),
    ends: 'runs',
    says: /WARN .*orchestrators cannot do this stream .*it takes version 99\.0\.0 or newer/,
    flag: '-orchMinLivepeerVersion',
    check: (node) => shownAs(node, 'capability-missing', 'publisher'),
  },
  {
    name: 'an orchestrator without room',
    flags: GATEWAY,
    prepare: offering(async () => {
      return new OrchestratorError('request-refused', 'Invalid orchestrator request: OrchestratorCapped')
    }),
    ends: 'runs',
    says: /WARN .*orchestrators have no room .*the only orchestrator has no room for another session/,
    flag: null,
    check: (node) => shownAs(node, 'orchestrators-full', 'orchestrator'),
  },
  {
    name: 'an orchestrator that fails at every segment',
    flags: GATEWAY,
    prepare: offering(
      async () => ({}),
      async () => {
        throw new Error('out of order')
      },
    ),
    ends: 'runs',
    says: /WARN .*orchestrators suspended after failures .*the only orchestrator is suspended: https:\/\/127\.0\.0\.1:{port2} for .+, since /,
    flag: null,
    check: (node) => shownAs(node, 'orchestrators-suspended', 'orchestrator'),
  },
  paying({
    name: 'a price above the maximum',
    prepare: offering(tickets(ETHER / 100n, 1_000n)),
    flags: '-maxPricePerUnit 1',
    says: /WARN .*offers above -maxPricePerUnit .*asks for more than -maxPricePerUnit, 1 wei per pixel: the best offer is 1000 wei per pixel, by https:\/\/127\.0\.0\.1:{port2}/,
    flag: '-maxPricePerUnit',
    code: 'price-above-maximum',
  }),
  paying({
    name: 'tickets above the maximum',
    prepare: offering(tickets(ETHER / 100n, 5_000n)),
    flags: '-maxTicketEV 10 -maxTotalEV 100',
    says: /WARN .*tickets above -maxTicketEV .*worth more than -maxTicketEV, 10 wei: the smallest are worth 5\d\d\d(\.\d+)? wei/,
    flag: '-maxTicketEV',
    code: 'ticket-ev-above-maximum',
  }),
  paying({
    name: 'an account without a deposit',
    prepare: registered,
    key: 'penniless',
    says: /WARN .*no deposit to pay orchestrators with .*the account {address:penniless} has no deposit to pay with \(its reserve is 0 ETH\)/,
    flag: null,
    code: 'no-deposit',
  }),
  paying({
    name: 'an account without a reserve',
    prepare: async (place) => {
      const { protocol } = await place.chain()
      await protocol.fundSender(devnetKey('unreserved'), ETHER, 0n)
      await registered(place)
    },
    key: 'unreserved',
    says: /WARN .*no reserve to pay orchestrators with .*the account {address:unreserved} has no reserve, without which no orchestrator takes its tickets \(its deposit is 1 ETH\).*livepeer gateway fund --reserve AMOUNT/,
    flag: null,
    code: 'no-reserve',
  }),
  paying({
    name: 'an account whose funds are being withdrawn',
    prepare: async (place) => {
      const { protocol } = await place.chain()
      await protocol.fundSender(devnetKey('leaving'), ETHER, ETHER)
      await protocol.call(devnetKey('leaving'), 'TicketBroker', 'unlock')
      // Of the two rounds for which they stay locked.
      await protocol.nextRound()
      await registered(place)
    },
    key: 'leaving',
    says: /WARN .*deposit and reserve are being withdrawn .*deposit and reserve of {address:leaving} can be withdrawn from round \d+ on, and this is round \d+, so no orchestrator takes its tickets.*livepeer gateway cancel-unlock/,
    flag: null,
    code: 'funds-unlocking',
  }),
  paying({
    name: 'a reserve that is too small',
    prepare: async (place) => {
      const { protocol } = await place.chain()
      await protocol.fundSender(devnetKey('frugal'), ETHER, 1_000n)
      await registered(place)
    },
    key: 'frugal',
    says: /WARN .*reserve too small for orchestrators .*the reserve of {address:frugal}, 1000 wei, gives each of \d+ active orchestrators \d+ wei, too little for the only orchestrator .*livepeer gateway fund --reserve 0\.\d+ETH/,
    flag: null,
    code: 'reserve-too-small',
  }),
  paying({
    name: 'a deposit that is too small for the tickets',
    prepare: offering(tickets(ETHER / 100n, 1_000n)),
    flags: '-depositMultiplier 1000',
    says: /WARN .*deposit too small for the tickets asked for .*the deposit of {address:gateway} is 1 ETH, but the only orchestrator asks for tickets of at least 0\.01 ETH .*which takes a deposit of 10 ETH, 9 ETH more/,
    flag: '-depositMultiplier 1000',
    code: 'deposit-too-small',
  }),
  paying({
    name: 'an orchestrator on the blocklist',
    prepare: offering(tickets(ETHER / 100n, 1_000n)),
    flags: '-orchBlocklist {address:orchestrator}',
    says: /WARN .*orchestrators on -orchBlocklist .*the only orchestrator is on -orchBlocklist/,
    flag: '-orchBlocklist',
    code: 'orchestrators-blocked',
  }),
  {
    name: 'more streams than a gateway takes',
    flags: '-gateway -monitor -maxSessions 1 -httpAddr 127.0.0.1:{port} -orchAddr 127.0.0.1:{port2}',
    prepare: async (place) => {
      publish(place)
      publish(place)
    },
    ends: 'runs',
    says: /WARN .*streams refused: -maxSessions reached .*-maxSessions allows 1 stream, and there are as many/,
    flag: '-maxSessions',
    check: (node) => shownAs(node, 'streams-full', 'gateway'),
  },
  {
    name: 'a transcoder whose orchestrator is not running',
    flags: '-transcoder -monitor -orchSecret s -orchAddr 127.0.0.1:{port}',
    ends: 'runs',
    says: /WARN .*not registered with any orchestrator .*no orchestrator of -orchAddr takes this transcoder \(https:\/\/127\.0\.0\.1:{port}\)/,
    flag: '-orchAddr',
    check: (node) => shownAs(node, 'not-registered', 'orchestrator'),
  },
  {
    name: 'a forgotten address of the registered orchestrator',
    flags: `${ORCHESTRATOR} -serviceAddr 127.0.0.1:{port}`,
    keys: ['hot'],
    ends: 'runs',
    says: /WARN .*account is not an orchestrator .*the account {address:hot}, which tickets are to pay, is neither a registered orchestrator nor/,
    flag: '-ethOrchAddr',
    check: async (node) => {
      await shownAs(node, 'account-not-registered', 'orchestrator')
      const { protocol } = await node.chain()
      const serviceUri = node.fill('https://127.0.0.1:{port}')
      await protocol.bondAndRegister(devnetKey('hot'), { stake: ETHER, serviceUri })
      await node.says(/over: account is not an orchestrator/)
    },
  },
  {
    name: 'payments to an account that is no orchestrator',
    flags: `${ORCHESTRATOR.replace('-orchSecret s', '-transcoder')} -serviceAddr 127.0.0.1:{port}`,
    keys: ['warm'],
    prepare: async (place) => {
      const flags = `-gateway -httpAddr 127.0.0.1:{port2} -orchAddr 127.0.0.1:{port} -ethPassword devnet {chain}`
      await startBeside(place, 'gateway', flags, 'gateway')
      publish({ ...place, fill: (text) => place.fill(text.replace('{port}', '{port2}')) })
    },
    ends: 'runs',
    says: /WARN .*payments refused: orchestrator not active .*payments of gateway {address:gateway} are refused, since {address:warm} is not an active orchestrator/,
    flag: '-ethOrchAddr',
    check: async (node) => {
      await shownAs(node, 'recipient-inactive', 'orchestrator')
      await eventually('it is counted', async () => {
        const { causes = [] } = await node.status<NodeStatus>()
        return causes.some(({ code, count }) => code === 'recipient-inactive' && count > 2)
      })
      assert.equal(node.log().match(/payments refused: orchestrator not active/g)!.length, 1)
    },
  },
  {
    name: 'a service address other than the one on chain',
    flags: `${ORCHESTRATOR} -serviceAddr 127.0.0.1:{port}`,
    keys: ['orchestrator'],
    ends: 'runs',
    says: /WARN .*-serviceAddr is not the address on chain .*gateways find {address:orchestrator} at https:\/\/127\.0\.0\.1:8935, .*and not at -serviceAddr https:\/\/127\.0\.0\.1:{port}/,
    flag: '-serviceAddr',
    check: (node) => shownAs(node, 'service-uri-differs', 'operator'),
  },
  {
    name: 'a redeemer whose account has no ether',
    flags: `-redeemer -monitor -httpAddr 127.0.0.1:{port} -ethOrchAddr {address:orchestrator} -ethPassword devnet {chain}`,
    keys: ['broke'],
    ends: 'runs',
    says: /ERROR .*account cannot pay for redemptions .*the account {address:broke} has 0 ETH, .*send {address:broke} at least 0\.\d+ ETH, which pays for 10 redemptions/,
    flag: null,
    check: async (node) => {
      await shownAs(node, 'no-ether', 'operator')
      const seen = readAnswer(
        node.control,
        { httpStatus: 200, body: JSON.stringify(await node.status()) },
        { atMs: Date.now(), withToken: false },
      )
      const about = problemsOf([seen]).filter((sentence) => /ether|ETH|redemption/.test(sentence))
      assert.equal(about.length, 1, about.join('\n'))
      const { anvil } = await node.chain()
      await anvil.setBalance(node.fill('{address:broke}'), ETHER)
      await node.says(/over: account cannot pay for redemptions/)
    },
  },
  {
    name: 'a redeemer that is not running',
    flags: HANDING_OVER,
    keys: ['hot2'],
    ends: 'runs',
    says: /WARN .*redeemer not answering, winning tickets are kept .*the redeemer 127\.0\.0\.1:{port2} does not answer/,
    flag: '-redeemerAddr',
    check: (node) => shownAs(node, 'redeemer-away', 'redeemer'),
  },
  {
    name: 'a wrong secret of the redeemer',
    flags: `${HANDING_OVER} -redeemerSecret one`,
    keys: ['hot2'],
    prepare: (place) =>
      startBeside(
        place,
        'redeemer',
        '-redeemer -httpAddr 127.0.0.1:{port2} -redeemerSecret two -ethOrchAddr {address:orchestrator} -ethPassword devnet {chain}',
        'gateway',
      ),
    ends: 'runs',
    says: /ERROR .*redeemer refuses this orchestrator, winning tickets are kept .*does not accept the -redeemerSecret/,
    flag: '-redeemerSecret',
    check: (node) => shownAs(node, 'redeemer-refuses', 'operator'),
  },
  {
    name: 'an orchestrator with another secret than the redeemer',
    flags:
      '-redeemer -monitor -httpAddr 127.0.0.1:{port2} -redeemerSecret two -ethOrchAddr {address:orchestrator} -ethPassword devnet {chain}',
    keys: ['gateway'],
    prepare: (place) => startBeside(place, 'orchestrator', `${HANDING_OVER} -redeemerSecret one`, 'hot2'),
    ends: 'runs',
    says: /WARN .*orchestrator refused .*calls from 127\.0\.0\.1 are refused \(wrong secret/,
    flag: '-redeemerSecret',
    check: (node) => shownAs(node, 'orchestrator-refused', 'orchestrator'),
  },
  {
    name: 'the redeemer of another operator',
    flags: HANDING_OVER,
    keys: ['hot2'],
    prepare: (place) =>
      startBeside(
        place,
        'redeemer',
        '-redeemer -httpAddr 127.0.0.1:{port2} -ethOrchAddr {address:other} -ethPassword devnet {chain}',
        'gateway',
      ),
    ends: 'runs',
    says: /ERROR .*redeemer refuses this orchestrator, .*redeems for another orchestrator/,
    flag: '-redeemerAddr',
    check: (node) => shownAs(node, 'redeemer-refuses', 'operator'),
  },
  {
    name: 'an orchestrator in place of the redeemer',
    flags: HANDING_OVER,
    keys: ['hot2'],
    prepare: async (place) => {
      const endpoint = await startEndpoint({ port: Number(place.fill('{port2}')) })
      place.defer(() => endpoint[Symbol.asyncDispose]())
    },
    ends: 'runs',
    says: /ERROR .*redeemer refuses this orchestrator, .*127\.0\.0\.1:{port2}, named in -redeemerAddr, is not a redeemer; it may be an orchestrator/,
    flag: '-redeemerAddr',
    check: (node) => shownAs(node, 'redeemer-refuses', 'operator'),
  },
  {
    name: 'a redeemer without a port',
    flags: HANDING_OVER.replace('127.0.0.1:{port2}', '127.0.0.1'),
    keys: ['hot2'],
    ends: 'runs',
    says: '-redeemerAddr 127.0.0.1 names no port, so 8935 is assumed: https://127.0.0.1:8935',
    flag: '-redeemerAddr',
  },
  {
    name: 'a truncated key file beside the account that is named',
    flags: '-reward -ethAcctAddr {address:orchestrator} -ethPassword devnet {chain}',
    keys: ['orchestrator'],
    files: { 'data/keystore/UTC--2024-01-01T00-00-00.000000000Z--truncated': '{"address":"70997970' },
    ends: 'runs',
    says: /WARN .*files in the keystore that cannot be used .*truncated: it is not a Web3 key file/,
    flag: null,
  },
]

import { decodeEventLog, encodeDeployData, encodeFunctionData, getAddress } from 'viem'
import { type ArtifactName, artifact, ZERO_ANSWER_BYTECODE } from '../../devnet/artifacts.ts'
import { freePort } from '../../devnet/free-port.ts'
import { auxData, MAX_WIN_PROB, recipientRandHash, ticketHash } from '../../src/domain/ticket.ts'
import { contractId } from '../../src/io/chain/contracts.ts'
import { walletOfKey } from '../../src/io/chain/wallet.ts'
import { formatHex, type Hex, parseHex } from '../../src/lib/bytes.ts'
import { type Address, ZERO_ADDRESS } from '../../src/lib/crypto.ts'
import { eventually, until } from '../tools/until.ts'
import { accountAt, ControlledChain, type LocalNode, LPT } from './control-nodes.ts'
import type { RecordedRole } from './control-player.ts'

/** The accounts of the recorded nodes. */
export const ACCOUNTS = { W: accountAt(1), O: accountAt(3), G: accountAt(4), R: accountAt(5) }
/** One to which somebody bonds who is no orchestrator's delegator. */
export const NOBODY = accountAt(2)

/** Blocks, each of which the nodes follow: room for all that is asked of accounts in one round. */
const ROUND = 160n
/** Terms cannot be changed in the last tenth of a round. */
const LOCK = { part: 100_000n, from: 146n }
const NO_COMMIT = `0x${'00'.repeat(20)}` as Hex
const NAMES = { faucet: 'LivepeerTokenFaucet', governor: 'LivepeerGovernor' }

/** The contracts that are voted in: official polls, one open and one over, and a governor that accepts every call. */
export interface Votes {
  readonly open: Address
  readonly over: Address
  readonly governor: Address
}

/** A chain with the contracts and a node of each recorded role, as the recording found them. Disposing stops all. */
export class Stage implements AsyncDisposable {
  readonly chain: ControlledChain
  readonly votes: Votes
  readonly nodes: Readonly<Record<RecordedRole, LocalNode>>
  /** Where the gateways take streams. */
  readonly #pushed: Readonly<Record<'G' | 'fG', string>>
  readonly #end = new AbortController()

  private constructor(
    parts: Pick<Stage, 'chain' | 'votes' | 'nodes'> & { pushed: Record<'G' | 'fG', string> },
  ) {
    this.chain = parts.chain
    this.votes = parts.votes
    this.nodes = parts.nodes
    this.#pushed = parts.pushed
  }

  static async set(): Promise<Stage> {
    const chain = await ControlledChain.start({
      ...{ roundLength: ROUND, roundLockAmount: LOCK.part },
      ...{ unbondingPeriod: 2n, unlockPeriod: 2n },
    })
    try {
      const { G, O, R, W } = ACCOUNTS
      const stake = { stake: 1_000n * LPT, rewardCut: 500_000n, feeShare: 500_000n }
      await chain.protocol.bondAndRegister(W.key, { ...stake, serviceUri: 'https://127.0.0.1:8935' })
      await chain.fund(O, { lpt: 5_000n })
      await chain.fund(G, { lpt: 1_000n })
      await chain.fund(R)
      await chain.protocol.nextRound()
      const votes = await deployVotes(chain)
      return new Stage({ chain, votes, ...(await startNodes(chain, votes)) })
    } catch (error) {
      await chain[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Goes on to the next round, and initialises it. */
  async nextRound(): Promise<void> {
    await this.chain.protocol.nextRound()
    await this.followed()
  }

  /** Goes on to the beginning of the next round, which nobody has initialised. */
  async toNewRound(): Promise<void> {
    await this.#mineTo(ROUND)
    await this.followed()
  }

  /** Goes on to the end of the round, where terms are locked. */
  async toLockedRound(): Promise<void> {
    await this.#mineTo(LOCK.from)
    await this.followed()
  }

  async #mineTo(blockOfRound: bigint): Promise<void> {
    const { protocol } = this.chain
    await protocol.mineTo((await protocol.roundStart()) + blockOfRound)
  }

  /** Lets an hour pass on the chain. */
  async anHourLater(): Promise<void> {
    await this.chain.anvil.request('evm_increaseTime', [3_600])
    await this.chain.anvil.mine()
    await this.followed()
  }

  /** Resolves once all nodes have followed the chain to its head, and the reward service has done its work. */
  async followed(): Promise<void> {
    const { protocol } = this.chain
    const [head, round, isInitialized] = await Promise.all([
      protocol.blockNumber(),
      protocol.read('RoundsManager', 'currentRound'),
      protocol.read<boolean>('RoundsManager', 'currentRoundInitialized'),
    ])
    for (const role of ['O', 'G', 'R', 'W'] as const) {
      await eventually(`${role} follows`, async () => {
        const { bytes } = await this.nodes[role].ask('GET', '/currentBlock')
        return BigInt(formatHex(bytes)) >= head
      })
    }
    if (!isInitialized) return
    await eventually('the reward is called', async () => {
      const [last] = await protocol.read<[bigint]>('BondingManager', 'getTranscoder', [ACCOUNTS.W.address])
      return last === round
    })
  }

  /** Has a winning ticket of the gateway redeemed, which pays the orchestrator. */
  async payTicket(faceValue: bigint): Promise<void> {
    const { protocol } = this.chain
    const sender = walletOfKey(parseHex(ACCOUNTS.G.key))
    const creationRound = await protocol.read('RoundsManager', 'lastInitializedRound')
    const blockHash = await protocol.read<Hex>('RoundsManager', 'blockHashForRound', [creationRound])
    const ticket = {
      ...{ recipient: ACCOUNTS.O.address, sender: sender.address, faceValue, winProb: MAX_WIN_PROB },
      ...{ senderNonce: 1, recipientRandHash: recipientRandHash(5n), paramsExpirationBlock: 0n },
      expirationParams: { creationRound, creationRoundBlockHash: parseHex(blockHash) },
    }
    const onChain = {
      ...{ ...ticket, senderNonce: 1n, recipientRandHash: formatHex(ticket.recipientRandHash) },
      auxData: formatHex(auxData(ticket.expirationParams)),
    }
    const sig = formatHex(await sender.sign(ticketHash(ticket)))
    await protocol.call(NOBODY.key, 'TicketBroker', 'redeemWinningTicket', [onChain, sig, 5n])
    await this.followed()
  }

  /** Who voted in the open poll, and for what, in the order of their votes. */
  async votesCast(): Promise<(readonly [voter: Address, choice: bigint])[]> {
    const filter = { address: this.votes.open, fromBlock: '0x0', toBlock: 'latest' }
    const logs = await this.chain.anvil.request<{ data: Hex; topics: [Hex, ...Hex[]] }[]>('eth_getLogs', [
      filter,
    ])
    return logs.map(({ data, topics }) => {
      const { args } = decodeEventLog({ abi: artifact('Poll').abi, data, topics })
      const { choiceID, voter } = args as unknown as { voter: Address; choiceID: bigint }
      return [voter, choiceID]
    })
  }

  /** Pushes a segment of a stream to a gateway: nobody transcodes it, and it can be played. */
  async publish(role: 'G' | 'fG', stream: string): Promise<void> {
    const url = `http://${this.#pushed[role]}/live/${stream}/0.ts`
    const pushed = fetch(url, { method: 'POST', body: 'a segment', signal: this.#end.signal })
    pushed.then((answer) => answer.body?.cancel()).catch(() => {})
    await eventually('the stream runs', async () => {
      const { text } = await this.nodes[role].ask('GET', '/manifestID')
      return text === stream
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort()
    await this.chain[Symbol.asyncDispose]()
  }
}

async function startNodes(chain: ControlledChain, { governor }: Votes) {
  const ports = [await freePort(), await freePort(), await freePort(), await freePort(), await freePort()]
  const [po, pr, pg, pfo, pfg] = ports.map((port) => `127.0.0.1:${port}`)
  const gateway = (of: string | undefined, own: string | undefined) =>
    `-gateway -orchAddr https://${of} -httpAddr ${own} -transcodingOptions P240p30fps16x9,P360p30fps16x9`
  const { G, O, R, W } = ACCOUNTS
  // The redeemer and the reward service were recorded on a network without a faucet and without a governor.
  await named(chain, NAMES.faucet, ZERO_ADDRESS)
  const r = await chain.node('r', `-redeemer -httpAddr ${pr} -reward=false`, R)
  const w = await chain.node('w', '-reward', W)
  await named(chain, NAMES.faucet, chain.protocol.addresses.faucet)
  await named(chain, NAMES.governor, governor)
  const orchestrator = `-orchestrator -orchSecret s -serviceAddr ${po} -httpAddr ${po} -pricePerUnit 3000000000`
  const nodes = {
    O: await chain.node('o', `${orchestrator} -monitor -reward=false`, O),
    G: await chain.node('g', `${gateway(po, pg)} -maxPricePerUnit 1000000000000 -reward=false`, G),
    R: r,
    W: w,
    T: await chain.node('t', `-transcoder -orchSecret s -orchAddr ${po}`, null),
    fO: await chain.node('fo', `-orchestrator -transcoder -serviceAddr ${pfo} -httpAddr ${pfo}`, null),
    fG: await chain.node('fg', gateway(pfo, pfg), null),
  }
  return { nodes, pushed: { G: pg!, fG: pfg! } }
}

/** Lets the Controller name a contract. */
function named({ protocol }: ControlledChain, name: string, address: Address): Promise<void> {
  return protocol.ownerCalls('Controller', 'setContractInfo', [contractId(name), address, NO_COMMIT])
}

async function deployVotes(chain: ControlledChain): Promise<Votes> {
  const { protocol } = chain
  const creator = await created(chain, 'PollCreator', [protocol.addresses.bondingManager])
  const over = await created(chain, 'Poll', [await protocol.blockNumber()])
  const createPoll = { abi: artifact('PollCreator').abi, functionName: 'createPoll', args: ['0x1234'] }
  await protocol.send(ACCOUNTS.W.key, [{ to: creator, data: encodeFunctionData(createPoll) }])
  const [log] = await chain.anvil.request<{ topics: Hex[] }[]>('eth_getLogs', [
    { address: creator, fromBlock: '0x0', toBlock: 'latest' },
  ])
  const open = getAddress(`0x${log!.topics[1]!.slice(-40)}`)
  return { open, over, governor: await deployed(chain, ZERO_ANSWER_BYTECODE) }
}

function created(chain: ControlledChain, name: ArtifactName, args: readonly unknown[]): Promise<Address> {
  const { abi, bytecode } = artifact(name)
  return deployed(chain, encodeDeployData({ abi, bytecode: bytecode as Hex, args }))
}

async function deployed({ anvil }: ControlledChain, data: Hex): Promise<Address> {
  const [from] = await anvil.request<Address[]>('eth_accounts')
  const hash = await anvil.request<Hex>('eth_sendTransaction', [{ from, data, gas: '0x4c4b40' }])
  type Receipt = { readonly contractAddress: Hex; readonly status: Hex } | null
  const receipt = await until(
    () => anvil.request<Receipt>('eth_getTransactionReceipt', [hash]),
    'the receipt of a contract',
  )
  if (receipt.status !== '0x1') throw new Error('a contract was not deployed')
  return getAddress(receipt.contractAddress)
}

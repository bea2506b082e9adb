import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** The state of an account, as the wizard's texts told it: amounts in the smallest unit, shares in percent. */
export interface WalkedState {
  readonly account?: string
  readonly lpt?: string
  readonly eth?: string
  readonly maxGas?: string
  readonly minGas?: string
  readonly round?: string
  readonly unlockPeriod?: string
  readonly registered?: string
  readonly active?: boolean
  readonly uri?: string
  readonly stake?: string
  readonly rewardCut?: string
  readonly feeCut?: string
  readonly lastReward?: string
  readonly price?: string
  readonly maxPrice?: string
  readonly options?: string
  readonly deposit?: string
  readonly reserve?: string
  readonly withdrawRound?: string
  readonly status?: string
  readonly bonded?: string
  readonly pending?: string
  readonly fees?: string
  readonly delegate?: string
  readonly pool?: readonly { readonly address: string; readonly stake: string }[]
  readonly locks?: readonly { readonly id: string; readonly amount: string; readonly round: string }[]
}

/** What a request of a test is answered with: a status and a text; `dropped` for none. */
export type WalkedAnswer = readonly [status: number, text: string | Buffer] | 'dropped'
type Answering = WalkedAnswer | (() => Promise<WalkedAnswer>)

/** A control API with the answers of a Go node (operations.md §4), whose account's state a test sets. */
export class WalkedNode implements AsyncDisposable {
  state: WalkedState = {}
  isOrchestrator = false
  isRedeemer = false
  isOffchain = false
  /** Fields of `/status` that only this project's nodes have. */
  ownStatus: Readonly<Record<string, unknown>> | (() => Readonly<Record<string, unknown>>) = {}
  /** What changes are answered, by path; the rest succeeds without a text. */
  changes: Readonly<Record<string, Answering>> = {}
  /** What else is answered, by path. */
  reads: Readonly<Record<string, WalkedAnswer>> = {}
  /** The calls so far: `GET /status`, `POST /bond amount=1&toAddr=0x…`. */
  readonly calls: string[] = []
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response))
  }

  static async start(): Promise<WalkedNode> {
    const node = new WalkedNode()
    await new Promise<void>((resolve) => node.#server.listen(0, '127.0.0.1', resolve))
    return node
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = ''
    for await (const chunk of request) body += chunk
    const { method = '', url = '' } = request
    const format = request.headers.sigformat === undefined ? '' : ` [SigFormat: ${request.headers.sigformat}]`
    const values = new URLSearchParams(body)
    values.sort()
    this.calls.push(`${method} ${url}${values.size > 0 ? ` ${values}` : ''}${format}`)
    const answer = method === 'GET' ? this.#read(url) : await this.#changed(url)
    if (answer === 'dropped') {
      request.socket.destroy()
      return
    }
    response.writeHead(answer[0]).end(answer[1])
  }

  #changed(url: string): WalkedAnswer | Promise<WalkedAnswer> {
    const answer = this.changes[url] ?? [200, '']
    return typeof answer === 'function' ? answer() : answer
  }

  #read(url: string): WalkedAnswer {
    const path = url.split('?', 1)[0]!
    const given = this.reads[path]
    if (given) return given
    const read = ALWAYS[path] ?? (this.isOffchain ? undefined : ON_CHAIN[path])
    if (read) return [200, read(this)]
    return path in ON_CHAIN ? [500, 'missing ETH client\n'] : [404, '404 page not found\n']
  }
}

type Read = (node: WalkedNode) => string

const NOBODY = '0x0000000000000000000000000000000000000000'
const ACCOUNT = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'

/** JSON with whole numbers of any size, which are given as texts of digits in a `#`. */
const exact = (value: unknown) => JSON.stringify(value).replace(/"#(-?\d+)"/g, '$1')
const whole = (digits = '0') => `#${digits}`
/** Parts of a million. */
const parts = (percent = '0') => `#${Math.round(Number(percent) * 10_000)}`

function familiar(one: Readonly<Record<string, unknown>>) {
  return {
    ...{ Address: ACCOUNT.toLowerCase(), ServiceURI: '', Active: true, Status: 'Registered' },
    ...{ LastRewardRound: '#0', RewardCut: '#0', FeeShare: '#0', DelegatedStake: '#0' },
    ...{ ActivationRound: '#0', DeactivationRound: '#0', LastActiveStakeUpdateRound: '#0' },
    PricePerPixel: null,
    ...one,
  }
}

const ALWAYS: Readonly<Record<string, Read>> = {
  '/IsOrchestrator': ({ isOrchestrator }) => String(isOrchestrator),
  '/IsRedeemer': ({ isRedeemer }) => String(isRedeemer),
  '/EthChainID': ({ isOffchain }) => (isOffchain ? '0' : '54321'),
  '/status': ({ ownStatus }) =>
    exact({
      ...{ Version: '0.9.1', GolangRuntimeVersion: 'go1.26.8', GOArch: 'amd64', GOOS: 'linux' },
      BroadcasterPrices: {},
      ...(typeof ownStatus === 'function' ? ownStatus() : ownStatus),
    }),
  '/getBroadcastConfig': ({ state: { maxPrice = null, options = '' } }) =>
    exact({ MaxPrice: maxPrice, TranscodingOptions: options }),
  // In no order.
  '/getAvailableTranscodingOptions': () =>
    exact([
      ...['P720p60fps16x9', 'P240p25fps16x9', 'P240p30fps16x9', 'P240p30fps4x3', 'P360p25fps16x9'],
      ...['P360p30fps16x9', 'P360p30fps4x3', 'P576p25fps16x9', 'P576p30fps16x9', 'P720p25fps16x9'],
      ...['P720p30fps16x9', 'P720p30fps4x3', 'P144p30fps16x9'],
    ]),
}

const ON_CHAIN: Readonly<Record<string, Read>> = {
  '/contractAddresses': () =>
    exact({ Controller: '0x5fbdb2315678afecb367f032d93f642f64180aa3', LivepeerToken: ACCOUNT.toLowerCase() }),
  '/tokenBalance': ({ state }) => state.lpt ?? '0',
  '/ethBalance': ({ state }) => state.eth ?? '0',
  '/maxGasPrice': ({ state }) => state.maxGas ?? '',
  '/minGasPrice': ({ state }) => state.minGas ?? '0',
  '/ethAddr': ({ state }) => state.account ?? ACCOUNT,
  '/currentRound': ({ state }) => state.round ?? '4',
  '/orchestratorInfo': ({ isOrchestrator, state }) =>
    exact({
      Transcoder: familiar({
        Address: (state.account ?? ACCOUNT).toLowerCase(),
        ServiceURI: state.uri ?? '',
        Active: state.active ?? false,
        Status: state.registered ?? 'Not Registered',
        LastRewardRound: whole(state.lastReward),
        RewardCut: parts(state.rewardCut),
        FeeShare: parts(String(100 - Number(state.feeCut ?? '100'))),
        DelegatedStake: whole(state.stake),
      }),
      PriceInfo: isOrchestrator ? (state.price ?? '0') : null,
    }),
  '/registeredOrchestrators': ({ state }) =>
    exact(
      (state.pool ?? []).map(({ address, stake }) =>
        familiar({ Address: address.toLowerCase(), DelegatedStake: whole(stake), PricePerPixel: '0' }),
      ),
    ),
  '/delegatorInfo': ({ state }) =>
    exact({
      Address: (state.account ?? ACCOUNT).toLowerCase(),
      ...{
        BondedAmount: whole(state.bonded),
        Fees: '#0',
        DelegateAddress: (state.delegate ?? NOBODY).toLowerCase(),
      },
      ...{ DelegatedAmount: '#0', StartRound: '#0', LastClaimRound: '#0', NextUnbondingLockId: null },
      ...{ PendingStake: whole(state.pending), PendingFees: whole(state.fees) },
      Status: state.status ?? 'Unbonded',
    }),
  '/unbondingLocks': ({ state }) =>
    exact(
      (state.locks ?? []).map(({ amount, id, round }) => ({
        ...{
          ID: whole(id),
          Delegator: ACCOUNT.toLowerCase(),
          Amount: whole(amount),
          WithdrawRound: whole(round),
        },
      })),
    ),
  '/senderInfo': ({ state }) =>
    exact({
      ...{ Deposit: whole(state.deposit), WithdrawRound: whole(state.withdrawRound) },
      Reserve: { FundsRemaining: whole(state.reserve), ClaimedInCurrentRound: '#0' },
    }),
  '/ticketBrokerParams': ({ state }) => exact({ UnlockPeriod: whole(state.unlockPeriod ?? '2') }),
  '/protocolParameters': () =>
    exact({
      ...{
        NumActiveTranscoders: '#50',
        RoundLength: '#600',
        RoundLockAmount: '#100000',
        UnbondingPeriod: '#7',
      },
      ...{ Inflation: '#220000', InflationChange: '#500', TargetBondingRate: '#500000000', Paused: false },
      ...{ TotalBonded: '#1000000000000000000000', TotalSupply: '#10000000000000000000000000' },
    }),
}

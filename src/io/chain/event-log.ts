import { type Abi, type AbiEvent, decodeEventLog, hexToBytes, toEventSelector } from 'viem'
import type { ChainEvent, EventPlace } from '../../domain/chain.ts'
import { recipientRandHash, ticketHash } from '../../domain/ticket.ts'
import { bytesToInt, formatHex, type Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import { abis, type ContractAddresses } from './contracts.ts'
import type { RawLog } from './raw-log.ts'

/** Arguments of a decoded event, by the contract's names. */
type EventArgs = Readonly<Record<string, unknown>>

/** Turns the contracts' events that this node uses into the network's words. */
const MEANINGS: Readonly<Record<string, (args: EventArgs) => ChainEvent>> = {
  NewRound: (args) => ({
    kind: 'new-round',
    round: int(args.round),
    blockHash: hexToBytes(args.blockHash as Hex),
  }),
  TranscoderActivated: (args) => ({
    kind: 'orchestrator-activated',
    orchestrator: address(args.transcoder),
    round: int(args.activationRound),
  }),
  TranscoderDeactivated: (args) => ({
    kind: 'orchestrator-deactivated',
    orchestrator: address(args.transcoder),
    round: int(args.deactivationRound),
  }),
  Reward: (args) => ({ kind: 'reward', orchestrator: address(args.transcoder), amount: int(args.amount) }),
  ServiceURIUpdate: (args) => ({
    kind: 'service-uri-updated',
    orchestrator: address(args.addr),
    serviceUri: String(args.serviceURI),
  }),
  DepositFunded: (args) => ({
    kind: 'deposit-funded',
    sender: address(args.sender),
    amount: int(args.amount),
  }),
  ReserveFunded: (args) => ({
    kind: 'reserve-funded',
    sender: address(args.reserveHolder),
    amount: int(args.amount),
  }),
  Withdrawal: (args) => ({ kind: 'withdrawal', sender: address(args.sender) }),
  Unlock: (args) => ({ kind: 'unlock', sender: address(args.sender) }),
  UnlockCancelled: (args) => ({ kind: 'unlock-cancelled', sender: address(args.sender) }),
  WinningTicketTransfer: (args) => ({
    kind: 'winning-ticket-transfer',
    sender: address(args.sender),
    recipient: address(args.recipient),
    amount: int(args.amount),
  }),
  WinningTicketRedeemed: (args) => ({
    kind: 'winning-ticket-redeemed',
    sender: address(args.sender),
    recipient: address(args.recipient),
    senderNonce: int(args.senderNonce),
    recipientRand: int(args.recipientRand),
    ticketFaceValue: int(args.faceValue),
    ticketHash: hashOfRedeemed(args),
  }),
  ReserveClaimed: (args) => ({
    kind: 'reserve-claimed',
    sender: address(args.reserveHolder),
    claimant: address(args.claimant),
    amount: int(args.amount),
  }),
}

/** Reads the logs of the protocol's own contracts only: other contracts emit the same events (chain.md §20, B4). */
export class EventReader {
  /** For `eth_getLogs`: the contracts that are listened to. */
  readonly addresses: readonly Address[]
  /** For `eth_getLogs`: any of the events that are listened to. */
  readonly topics: readonly [readonly Hex[]]
  readonly #abis: ReadonlyMap<Address, Abi>

  constructor(addresses: ContractAddresses) {
    this.#abis = new Map<Address, Abi>([
      [addresses.roundsManager, abis.RoundsManager],
      [addresses.bondingManager, abis.BondingManager],
      [addresses.ticketBroker, abis.TicketBroker],
      [addresses.serviceRegistry, abis.ServiceRegistry],
    ])
    this.addresses = [...this.#abis.keys()]
    const events = [...this.#abis.values()].flat().filter((item): item is AbiEvent => item.type === 'event')
    this.topics = [events.filter(({ name }) => name in MEANINGS).map(toEventSelector)]
  }

  /** The event in a log; null for a log of another contract or of an unknown form. */
  read(log: RawLog): (ChainEvent & EventPlace) | null {
    const abi = this.#abis.get(log.address)
    const [topic, ...rest] = log.topics
    if (!abi || !topic || log.removed) return null
    try {
      const { eventName, args } = decodeEventLog({ abi, data: log.data, topics: [topic, ...rest] })
      const meaning = eventName === undefined ? undefined : MEANINGS[eventName]
      if (!meaning) return null
      const place = { block: log.blockNumber, txHash: log.transactionHash, logIndex: log.logIndex }
      return { ...meaning(args as unknown as EventArgs), ...place }
    } catch {
      return null
    }
  }
}

/** The hash of the ticket that a redemption names; its parameters' expiry is no part of it. */
function hashOfRedeemed(args: EventArgs): Hex {
  const aux = hexToBytes(args.auxData as Hex)
  return formatHex(
    ticketHash({
      recipient: address(args.recipient),
      sender: address(args.sender),
      faceValue: int(args.faceValue),
      winProb: int(args.winProb),
      senderNonce: Number(int(args.senderNonce)),
      recipientRandHash: recipientRandHash(int(args.recipientRand)),
      expirationParams: {
        creationRound: bytesToInt(aux.subarray(0, 32)),
        creationRoundBlockHash: aux.subarray(32),
      },
      paramsExpirationBlock: 0n,
    }),
  )
}

function int(value: unknown): bigint {
  return BigInt(value as bigint)
}

function address(value: unknown): Address {
  return value as Address
}

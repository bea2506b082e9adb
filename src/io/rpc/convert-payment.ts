import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import type {
  ExpirationParams,
  Payment,
  PriceInfo,
  TicketParams,
  WinningTicket,
} from '../../domain/ticket.ts'
import { intToBytes, leftPad } from '../../lib/bytes.ts'
import { addressBytes } from '../../lib/crypto.ts'
import * as wire from './gen/lp_rpc_pb.ts'
import { type MaxFloatUpdate, MaxFloatUpdateSchema, type Ticket, TicketSchema } from './gen/redeemer_pb.ts'
import { badMessage, boundedList, parseMessage, readAddress, readInt } from './wire-message.ts'

/** Maximum number of tickets of a payment: as many as may use one recipient rand (wire.md §10). */
const MAX_TICKETS = 600

/** The bytes of a Payment (wire.md §10). */
export function encodePayment(payment: Payment): Uint8Array {
  const { ticketParams } = payment
  const expiration = payment.expirationParams ?? ticketParams?.expirationParams
  return toBinary(
    wire.PaymentSchema,
    create(wire.PaymentSchema, {
      ...(ticketParams && {
        ticketParams: { ...writeTicketParams(ticketParams), expirationParams: undefined },
      }),
      sender: addressBytes(payment.sender),
      // Peers crash on params without these (wire.md §18, 8).
      ...(expiration && { expirationParams: writeExpiration(expiration) }),
      ticketSenderParams: payment.tickets.map(({ senderNonce, sig }) => ({ senderNonce, sig })),
      ...(payment.expectedPrice && { expectedPrice: payment.expectedPrice }),
    }),
  )
}

/** Reads the bytes of a Payment. */
export function decodePayment(bytes: Uint8Array): Payment {
  const message = parseMessage(wire.PaymentSchema, bytes)
  const params = message.ticketParams ? readTicketParams(message.ticketParams) : null
  const expirationParams = message.expirationParams
    ? readExpiration(message.expirationParams)
    : (params?.expirationParams ?? null)
  return {
    sender: readAddress(message.sender),
    // The payment's own hold for its params too.
    ticketParams: params && { ...params, ...(expirationParams && { expirationParams }) },
    expirationParams,
    tickets: boundedList(message.ticketSenderParams, 'tickets', MAX_TICKETS).map(({ senderNonce, sig }) => ({
      senderNonce,
      sig,
    })),
    expectedPrice: message.expectedPrice ? readPrice(message.expectedPrice) : null,
  }
}

/** Converts a winning ticket for a redeemer (wire.md §14), without seed and nested expiration. */
export function writeTicket(ticket: WinningTicket): Ticket {
  return create(TicketSchema, {
    ticketParams: {
      recipient: addressBytes(ticket.recipient),
      faceValue: intToBytes(ticket.faceValue),
      winProb: intToBytes(ticket.winProb),
      recipientRandHash: ticket.recipientRandHash,
      expirationBlock: intToBytes(ticket.paramsExpirationBlock),
    },
    sender: addressBytes(ticket.sender),
    expirationParams: writeExpiration(ticket.expirationParams),
    senderParams: { senderNonce: ticket.senderNonce, sig: ticket.sig },
    recipientRand: intToBytes(ticket.recipientRand),
  })
}

/** Reads a winning ticket. Absent parts are zeros (wire.md §18, 8). */
export function readTicket(message: Ticket): WinningTicket {
  const params = readTicketParams(message.ticketParams ?? create(wire.TicketParamsSchema))
  return {
    recipient: params.recipient,
    sender: readAddress(message.sender),
    faceValue: params.faceValue,
    winProb: params.winProb,
    senderNonce: message.senderParams?.senderNonce ?? 0,
    recipientRandHash: params.recipientRandHash,
    expirationParams: message.expirationParams
      ? readExpiration(message.expirationParams)
      : params.expirationParams,
    paramsExpirationBlock: params.expirationBlock,
    sig: message.senderParams?.sig ?? new Uint8Array(0),
    recipientRand: readInt(message.recipientRand, 'recipient rand'),
  }
}

/** Converts a max float for the wire, which has no sign: a negative one is sent as zero (wire.md §18, 18). */
export function writeMaxFloat(amount: bigint): MaxFloatUpdate {
  return create(MaxFloatUpdateSchema, { maxFloat: intToBytes(amount < 0n ? 0n : amount) })
}

/** Reads a max float. */
export function readMaxFloat(message: MaxFloatUpdate): bigint {
  return readInt(message.maxFloat, 'max float')
}

/** Converts ticket params for the wire. */
export function writeTicketParams(params: TicketParams): MessageInitShape<typeof wire.TicketParamsSchema> {
  return {
    recipient: addressBytes(params.recipient),
    faceValue: intToBytes(params.faceValue),
    winProb: intToBytes(params.winProb),
    recipientRandHash: params.recipientRandHash,
    seed: intToBytes(params.seed),
    expirationBlock: intToBytes(params.expirationBlock),
    expirationParams: writeExpiration(params.expirationParams),
  }
}

/** Reads ticket params. Throws WireError `bad-message`. */
export function readTicketParams(message: wire.TicketParams): TicketParams {
  return {
    recipient: readAddress(message.recipient),
    faceValue: readInt(message.faceValue, 'face value'),
    winProb: readInt(message.winProb, 'win prob'),
    recipientRandHash: leftPad(message.recipientRandHash, 32),
    seed: readInt(message.seed, 'seed'),
    expirationBlock: readInt(message.expirationBlock, 'expiration block'),
    expirationParams: readExpiration(message.expirationParams ?? create(wire.TicketExpirationParamsSchema)),
  }
}

function writeExpiration(
  params: ExpirationParams,
): MessageInitShape<typeof wire.TicketExpirationParamsSchema> {
  return {
    creationRound: params.creationRound,
    creationRoundBlockHash: params.creationRoundBlockHash,
  }
}

function readExpiration(message: wire.TicketExpirationParams): ExpirationParams {
  if (message.creationRound < 0n) throw badMessage('the creation round is negative')
  return {
    creationRound: message.creationRound,
    creationRoundBlockHash: leftPad(message.creationRoundBlockHash, 32),
  }
}

/** Reads a price. */
export function readPrice(message: wire.PriceInfo): PriceInfo {
  return { pricePerUnit: message.pricePerUnit, pixelsPerUnit: message.pixelsPerUnit }
}

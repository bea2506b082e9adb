import type { MessageInitShape } from '@bufbuild/protobuf'
import type { AuthToken, InfoRequest, OrchestratorInfo, StorageInfo } from '../../domain/segment.ts'
import { addressBytes } from '../../lib/crypto.ts'
import { readCapabilities, writeCapabilities } from './convert-capabilities.ts'
import { readPrice, readTicketParams, writeTicketParams } from './convert-payment.ts'
import type * as wire from './gen/lp_rpc_pb.ts'
import { boundedList, boundedText, enumWord, MAX_NAME, MAX_URL, readAddress } from './wire-message.ts'

/** Object stores that one message may name. */
export const MAX_STORAGE = 16
const MAX_CREDENTIAL = 16 * 1024
const MAX_NODES = 1024

const STORAGE_KINDS = { direct: 0, s3: 1, google: 2 } as const

/** Converts a gateway's request for info for the wire. */
export function writeInfoRequest(
  request: InfoRequest,
): MessageInitShape<typeof wire.OrchestratorRequestSchema> {
  return {
    address: addressBytes(request.address),
    sig: request.sig,
    ...(request.capabilities && { capabilities: writeCapabilities(request.capabilities) }),
    ignoreCapacityCheck: request.ignoreCapacityCheck,
  }
}

/** Reads a gateway's request for info. */
export function readInfoRequest(message: wire.OrchestratorRequest): InfoRequest {
  return {
    address: readAddress(message.address),
    sig: message.sig,
    capabilities: message.capabilities ? readCapabilities(message.capabilities) : null,
    ignoreCapacityCheck: message.ignoreCapacityCheck,
  }
}

/** Converts an orchestrator's info for the wire. */
export function writeInfo(info: OrchestratorInfo): MessageInitShape<typeof wire.OrchestratorInfoSchema> {
  return {
    transcoder: info.transcoder,
    ...(info.ticketParams && { ticketParams: writeTicketParams(info.ticketParams) }),
    ...(info.priceInfo && { priceInfo: info.priceInfo }),
    address: addressBytes(info.address),
    ...(info.capabilities && { capabilities: writeCapabilities(info.capabilities) }),
    ...(info.authToken && { authToken: info.authToken }),
    storage: info.storage.map(writeStorage),
    nodes: [...info.nodes],
  }
}

/** Reads an orchestrator's info. */
export function readInfo(message: wire.OrchestratorInfo): OrchestratorInfo {
  return {
    transcoder: boundedText(message.transcoder, 'transcoder', MAX_URL),
    ticketParams: message.ticketParams ? readTicketParams(message.ticketParams) : null,
    priceInfo: message.priceInfo ? readPrice(message.priceInfo) : null,
    address: readAddress(message.address),
    capabilities: message.capabilities ? readCapabilities(message.capabilities) : null,
    authToken: message.authToken ? readAuthToken(message.authToken) : null,
    storage: boundedList(message.storage, 'storage', MAX_STORAGE).map(readStorage),
    nodes: boundedList(message.nodes, 'nodes', MAX_NODES).map((node) => boundedText(node, 'node', MAX_URL)),
  }
}

/** Reads an auth token. Its expiration is checked with the token, not here. */
export function readAuthToken(message: wire.AuthToken): AuthToken {
  return {
    token: message.token,
    sessionId: boundedText(message.sessionId, 'session id', MAX_NAME),
    expiration: message.expiration,
  }
}

/** Converts an object store for the wire. */
export function writeStorage(storage: StorageInfo): MessageInitShape<typeof wire.OSInfoSchema> {
  return {
    storageType: STORAGE_KINDS[storage.kind],
    ...(storage.s3 && { s3info: storage.s3 }),
  }
}

/** Reads an object store. Throws WireError. */
export function readStorage(message: wire.OSInfo): StorageInfo {
  const s3 = message.s3info
  return {
    kind: enumWord(STORAGE_KINDS, message.storageType, 'unrecognized storage type'),
    s3: s3
      ? {
          host: boundedText(s3.host, 'storage host', MAX_URL),
          key: boundedText(s3.key, 'storage key', MAX_CREDENTIAL),
          policy: boundedText(s3.policy, 'storage policy', MAX_CREDENTIAL),
          signature: boundedText(s3.signature, 'storage signature', MAX_CREDENTIAL),
          credential: boundedText(s3.credential, 'storage credential', MAX_CREDENTIAL),
          xAmzDate: boundedText(s3.xAmzDate, 'storage date', MAX_CREDENTIAL),
        }
      : null,
  }
}

import { parseAmount } from '../domain/price.ts'
import { isTranscoderName, MAX_TRANSCODER_NAME } from '../domain/transcoder-notice.ts'
import { isLoopback, isUnspecified } from '../lib/hosts.ts'
import { DEFAULT_PEER_PORT, parseBind, parseHost, parsePeer, printBind } from './addresses.ts'
import { parseGatewayPrices } from './gateway-prices.ts'
import { shown } from './load-flags.ts'
import type { Network } from './networks.ts'
import { readGpus } from './read-gpus.ts'
import { readBucket } from './read-objects.ts'
import { profilesOf } from './read-profiles.ts'
import { NO_SECRET, peerUrls, type Reading, readPrice, refusal } from './reading.ts'
import type { Secrets } from './secrets.ts'
import type {
  OrchestratorSettings,
  RedeemerSettings,
  Role,
  SourceHosts,
  TranscoderSettings,
  UnitPrice,
} from './settings.ts'

/** The word in -uriSegments for all public addresses. */
const PUBLIC_SOURCES = 'public'

/** Reads the settings of an orchestrator. Throws SettingsError. */
export function readOrchestrator(
  reading: Reading,
  network: Network,
  roles: ReadonlySet<Role>,
  secrets: Secrets,
): OrchestratorSettings {
  const { flags } = reading
  const nodes = peerUrls(reading, 'nodes', null)
  const service = readService(reading, network, nodes)
  if (service.kind !== 'none' && !roles.has('transcoder') && secrets.orchSecret === '') {
    throw refusal(
      '-orchestrator needs -transcoder to transcode here, or -orchSecret for transcoders elsewhere',
    )
  }
  return {
    authWebhook: reading.httpUrl('authWebhookUrl'),
    service,
    bind: readServiceBind(reading),
    nodes,
    startupAvailabilityCheck: flags.startupAvailabilityCheck,
    rotateSecrets: flags.rotateSecrets,
    price: network.offchain ? null : readOwnPrice(reading),
    gatewayPrices: readGatewayPrices(reading, network),
    autoAdjustPrice: flags.autoAdjustPrice,
    ticketEv: readWei(reading, 'ticketEV'),
    maxFaceValue: readWei(reading, 'maxFaceValue') || null,
    redeemers: network.offchain ? [] : ownUrls(reading, 'redeemerAddr'),
    objectStore: readBucket(reading),
    sources: flags.uriSegments.trim() === '' ? null : readSources(reading),
  }
}

/** The hosts of -uriSegments: `public` for all public addresses, and single hosts. Throws SettingsError. */
function readSources(reading: Reading): SourceHosts {
  const items = reading.flags.uriSegments
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
  const hosts = items.filter((item) => item !== PUBLIC_SOURCES)
  return {
    public: hosts.length < items.length,
    hosts: hosts.map((item) => {
      const host = parseHost(item)
      if (host) return host
      const spelled = reading.spelled('uriSegments')
      throw refusal(
        `${spelled} ${shown(item)} is not a host: write ${PUBLIC_SOURCES}, HOST or HOST:PORT, with commas between them`,
      )
    }),
  }
}

function readService(
  reading: Reading,
  network: Network,
  nodes: readonly string[],
): OrchestratorSettings['service'] {
  const text = reading.flags.serviceAddr
  const spelled = reading.spelled('serviceAddr')
  if (text === 'none') {
    if (nodes.length > 0) return { kind: 'none' }
    throw refusal(`Empty service URI and no additional nodes specified: ${spelled} none needs -nodes`)
  }
  if (text === '') {
    refuseMissingService(reading, network)
    return { kind: 'registered' }
  }
  const peer = parsePeer(`Error getting service URI: ${spelled}`, text, null)
  if (isUnspecified(peer.host)) {
    throw refusal(`${spelled} ${peer.host} cannot be called: give the address that gateways use`)
  }
  if (network.public && isLoopback(peer.host)) {
    throw refusal(
      `${spelled} ${peer.host} can be reached from this machine only, but the gateways of ${network.name} are elsewhere: give the public address`,
    )
  }
  if (peer.portAssumed) {
    reading.warnings.push(`${spelled} names no port, so ${DEFAULT_PEER_PORT} is assumed: ${peer.url}`)
  }
  return { kind: 'url', url: peer.url }
}

/**
 * Offchain the address must be given; on chain the registered one is the default, even for a node with an account of
 * its own (operations.md §10 #6).
 */
function refuseMissingService(reading: Reading, network: Network): void {
  if (network.offchain) {
    throw refusal(
      '-orchestrator without a chain needs -serviceAddr, the HOST:PORT at which gateways reach it',
    )
  }
  const account = reading.address('ethAcctAddr')
  const orchestrator = reading.address('ethOrchAddr')
  // Nodes that share a store serve the same sessions, so the balancer's address is theirs.
  const isInCluster = reading.flags.store !== ''
  if (account && orchestrator && account !== orchestrator && !isInCluster) {
    reading.warnings.push(
      `without -serviceAddr this node is advertised at the address that ${orchestrator} registered on chain: if that is a balancer's, give the node's own, or give all nodes behind it the same -store`,
    )
  }
}

function readServiceBind(reading: Reading): OrchestratorSettings['bind'] {
  const spelled = reading.spelled('httpAddr')
  const text = reading.flags.httpAddr.trim()
  const clearText = text.startsWith('http://')
  if (text === '') return { host: '', port: null, clearText }
  const address = clearText ? text.slice('http://'.length) : text
  const { host, port } = parseBind(spelled, address, { host: '', port: null })
  return { host: isUnspecified(host) ? '' : host, port, clearText }
}

function readOwnPrice(reading: Reading): UnitPrice {
  const { pricePerUnit } = reading.flags
  if (pricePerUnit === null) {
    throw refusal('-orchestrator on a chain needs -pricePerUnit, its price per pixel (0 to work for free)')
  }
  return readPrice(reading, 'pricePerUnit', pricePerUnit)
}

function readGatewayPrices(reading: Reading, network: Network): OrchestratorSettings['gatewayPrices'] {
  const text = network.offchain ? '' : reading.textOrFile('pricePerGateway')
  return text === '' ? new Map() : parseGatewayPrices(reading.spelled('pricePerGateway'), text)
}

/** Reads the settings of a transcoder. Throws SettingsError. */
export function readTranscoder(
  reading: Reading,
  roles: ReadonlySet<Role>,
  secrets: Secrets,
): TranscoderSettings {
  const { flags } = reading
  const common = {
    gpus: readGpus(reading.spelled('nvidia'), reading.flags.nvidia),
    hevcDecoding: flags.hevcDecoding,
    name: readTranscoderName(reading),
    triesGpus: flags.testTranscoder,
    ladder: profilesOf(reading),
    // An orchestrator on another machine may use sources at any public address.
    sources: { ...readSources(reading), public: true },
  }
  if (roles.has('orchestrator')) return { ...common, orchestrators: [] }
  if (secrets.orchSecret === '') {
    throw refusal(
      '-transcoder without -orchestrator needs -orchSecret, the secret it shares with its orchestrator',
    )
  }
  const orchestrators = ownUrls(reading, 'orchAddr')
  if (orchestrators.length === 0) {
    throw refusal('-transcoder without -orchestrator needs -orchAddr, the address of its orchestrator')
  }
  return { ...common, orchestrators }
}

function readTranscoderName(reading: Reading): string {
  const name = reading.flags.transcoderName.trim()
  if (name === '' || isTranscoderName(name)) return name
  throw refusal(
    `${reading.spelled('transcoderName')} is a name of at most ${MAX_TRANSCODER_NAME} printable characters, which ${shown(name)} is not`,
  )
}

/** Reads the settings of a redeemer. Throws SettingsError. */
export function readRedeemer(reading: Reading, secrets: Secrets): RedeemerSettings {
  const spelled = reading.spelled('httpAddr')
  const redeemAfterMs = reading.wait('redeemAfter', 0)
  const bind = parseBind(spelled, reading.flags.httpAddr, { host: '127.0.0.1', port: DEFAULT_PEER_PORT })
  if (isLoopback(bind.host)) {
    // Whoever writes such an address wants it.
    if (reading.has('httpAddr')) return { bind, redeemAfterMs }
    reading.warnings.push(
      `the redeemer listens on ${printBind(bind)}, which only orchestrators on this machine can reach: for others set ${spelled} to an address that they can reach`,
    )
  } else if (secrets.redeemerSecret === '' && reading.flags.certs === '') {
    const whose = `tickets from anyone who can reach ${spelled} ${printBind(bind)}`
    if (reading.flags.redeemerSecret !== NO_SECRET) {
      throw refusal(
        `the redeemer would accept ${whose}: give it and its orchestrators -redeemerSecret or -certs (or -redeemerSecret none if something else protects it, or while they are Go nodes)`,
      )
    }
    reading.warnings.push(
      `the redeemer accepts ${whose}, since -redeemerSecret is none: make sure that only orchestrators can reach it, and set -redeemerSecret or -certs on it and on them once none of them is a Go node`,
    )
  }
  return { bind, redeemAfterMs }
}

/**
 * Addresses of the operator's own nodes. With -certs they must use TLS, without which a certificate proves nothing.
 * Throws SettingsError.
 */
function ownUrls(reading: Reading, name: 'redeemerAddr' | 'orchAddr'): string[] {
  const urls = peerUrls(reading, name, '127.0.0.1')
  const plain = reading.flags.certs === '' ? undefined : urls.find((url) => url.startsWith('http:'))
  if (!plain) return urls
  throw refusal(
    `${reading.spelled(name)} ${plain} is clear text, so certificates cannot be checked: write it with https://, or leave -certs out`,
  )
}

function readWei(reading: Reading, name: 'ticketEV' | 'maxFaceValue'): bigint {
  const text = reading.flags[name]
  if (/^\d{1,78}$/.test(text)) return BigInt(text)
  const amount = parseAmount(text)
  if (amount?.den === 1n) return amount.num
  throw refusal(
    `${reading.spelled(name)} ${shown(text)} is not a whole number of wei of at least 0, nor an amount with a unit, such as 8gwei or 0.01eth`,
  )
}

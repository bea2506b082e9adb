import { parsePriceFlag } from '../domain/price.ts'
import { type Address, parseAddress, ZERO_ADDRESS } from '../lib/crypto.ts'
import { messageOf } from '../lib/errors.ts'
import { maskUrls } from '../lib/mask-url.ts'
import { DEFAULT_PEER_PORT, parsePeer } from './addresses.ts'
import { type FlagName, flags } from './flags.ts'
import { parsePixels } from './gateway-prices.ts'
import { defaultOf, environmentName, type LoadedFlags, SettingsError, shown } from './load-flags.ts'
import type { ProgramEnvironment, UnitPrice } from './settings.ts'

/** Instead of a secret: none is required, although the address is open to other machines. */
export const NO_SECRET = 'none'

/** The flags with their spelling, and the warnings found while reading them. */
export class Reading {
  readonly flags: LoadedFlags['values']
  readonly warnings: string[] = []
  readonly #given: LoadedFlags['given']
  readonly #readText: ProgramEnvironment['readText']

  constructor(loaded: LoadedFlags, env: ProgramEnvironment) {
    this.flags = loaded.values
    this.#given = loaded.given
    this.#readText = env.readText
  }

  /** The flag as the user wrote it, or its command line form. */
  spelled(name: FlagName): string {
    return this.#given.get(name)?.spelled ?? `-${name}`
  }

  has(name: FlagName): boolean {
    return this.#given.has(name)
  }

  /** Whether it is given with another value than the one that it has anyway. */
  isChanged(name: FlagName): boolean {
    return this.has(name) && this.flags[name] !== defaultOf(flags[name])
  }

  /** The file's content if the value names a file, otherwise the value (operations.md §1.1). */
  textOrFile(
    name:
      | 'ethPassword'
      | 'orchSecret'
      | 'redeemerSecret'
      | 'cliToken'
      | 'pricePerGateway'
      | 'store'
      | 'storeSessionUrl'
      | 'metadataQueueUri'
      | 'kafkaPassword',
  ): string {
    const text = this.flags[name]
    if (text === '') return ''
    const content = this.#readText(text)
    if (content !== null) return content.trim()
    const spelled = this.spelled(name)
    if (/^[.~]?\//.test(text)) {
      this.warnings.push(
        `${spelled} looks like a path, but no such file can be read, so the text itself is used`,
      )
    }
    if (spelled.startsWith('-') && 'secret' in flags[name]) {
      this.warnings.push(
        `${spelled} is given as text on the command line, which every user of this machine can read: write it to a file and give its path, or set ${environmentName(name)}`,
      )
    }
    return text
  }

  /** The text of a file; null if it cannot be read. */
  file(path: string): string | null {
    return this.#readText(path)
  }

  /** An integer of at least `least`, as a number. */
  count(name: 'maxTransactionReplacements' | 'extraNodes', least: bigint): number {
    const value = this.flags[name]
    if (value < least || value > 2n ** 31n)
      throw refusal(`${this.spelled(name)} must be at least ${least}, not ${value}`)
    return Number(value)
  }

  /** A duration of at least `least` ms. */
  wait(
    name:
      | 'transactionTimeout'
      | 'initializeRoundMaxDelay'
      | 'discoveryTimeout'
      | 'drainTimeout'
      | 'drainNotice'
      | 'storeGrace'
      | 'redeemAfter'
      | 'maxSegmentDuration'
      | 'metadataPublishTimeout',
    least: number,
  ): number {
    const value = this.flags[name]
    if (value < least || value > 2 ** 31 - 1) {
      throw refusal(`${this.spelled(name)} must be between ${least}ms and 596h, not ${value}ms`)
    }
    return Math.trunc(value)
  }

  /** An address, or null when the flag is empty. */
  address(name: 'ethAcctAddr' | 'ethOrchAddr' | 'ethController' | 'priceFeedAddr'): Address | null {
    return this.flags[name] === '' ? null : checkedAddress(this.spelled(name), this.flags[name])
  }

  /** A URL, or null when the flag is empty. */
  httpUrl(name: 'authWebhookUrl' | 'orchWebhookUrl' | 'orchPerfStatsUrl' | 'verifierUrl'): string | null {
    const text = this.flags[name]
    if (text === '') return null
    if (!isUrl(text, ['http:', 'https:'])) {
      throw refusal(`${this.spelled(name)} is not an http or https URL`)
    }
    return text
  }
}

/** Base URLs of a comma-separated list, without duplicates. Throws SettingsError, also for a list of commas only. */
export function peerUrls(
  reading: Reading,
  name: 'orchAddr' | 'nodes' | 'redeemerAddr',
  defaultHost: string | null,
): string[] {
  const spelled = reading.spelled(name)
  const urls = entries(reading.flags[name]).map((entry) => {
    const { portAssumed, url } = parsePeer(spelled, entry, defaultHost)
    // A redeemer is not an orchestrator, whose port this is: the two are easily taken for each other.
    if (portAssumed && name === 'redeemerAddr') {
      reading.warnings.push(`${spelled} ${entry} names no port, so ${DEFAULT_PEER_PORT} is assumed: ${url}`)
    }
    return url
  })
  if (urls.length === 0 && reading.flags[name] !== '') {
    throw refusal(`${reading.spelled(name)} ${shown(reading.flags[name])} lists no address`)
  }
  return [...new Set(urls)]
}

/** A price with its number of pixels. Throws SettingsError. */
export function readPrice(
  reading: Reading,
  name: 'pricePerUnit' | 'maxPricePerUnit',
  text: string,
): UnitPrice {
  const price = attempt(reading.spelled(name), () => parsePriceFlag(text))
  const pixelsPerUnit = parsePixels(reading.flags.pixelsPerUnit)
  if (pixelsPerUnit === null) {
    throw refusal(
      `${reading.spelled('pixelsPerUnit')} ${shown(reading.flags.pixelsPerUnit)} is not a whole number above 0`,
    )
  }
  return { price, pixelsPerUnit }
}

/** Parses an address other than the zero address. Throws SettingsError. */
export function checkedAddress(spelled: string, text: string): Address {
  const address = attempt(spelled, () => parseAddress(text.trim()))
  if (address === ZERO_ADDRESS)
    throw refusal(`${spelled} is the zero address: give the address of an account`)
  return address
}

/** Whether a text is a URL with one of these protocols. */
export function isUrl(text: string, protocols: readonly string[]): boolean {
  const url = URL.parse(text)
  return url !== null && protocols.includes(url.protocol) && url.hostname !== ''
}

/** The entries of a comma-separated list, without blank ones. */
export function entries(text: string): string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
}

/** Turns any error of a parser into a SettingsError that begins with the flag. */
export function attempt<T>(spelled: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw refusal(`${spelled}: ${maskUrls(messageOf(error))}`)
  }
}

/** The SettingsError for a bad setting. */
export function refusal(sentence: string): SettingsError {
  return new SettingsError('bad-setting', sentence)
}

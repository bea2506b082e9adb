import { parsePriceFlag } from '../domain/price.ts'
import { type Address, parseAddress, ZERO_ADDRESS } from '../lib/crypto.ts'
import { messageOf } from '../lib/errors.ts'
import { parsePeer } from './addresses.ts'
import { type FlagName, flags } from './flags.ts'
import { parsePixels } from './gateway-prices.ts'
import { environmentName, type LoadedFlags, SettingsError, shown } from './load-flags.ts'
import type { ProgramEnvironment, UnitPrice } from './settings.ts'

/** In place of a secret: says that none is asked for, although others can reach what it would guard. */
export const NO_SECRET = 'none'

/** One reading of the flags: the values, how they were spelled, and the warnings that come up. */
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

  /** How the user wrote the flag, or would on the command line. */
  spelled(name: FlagName): string {
    return this.#given.get(name)?.spelled ?? `-${name}`
  }

  has(name: FlagName): boolean {
    return this.#given.has(name)
  }

  /** The file's content if the value names a file, else the value (operations.md §1.1). */
  textOrFile(name: 'ethPassword' | 'orchSecret' | 'redeemerSecret' | 'cliToken' | 'pricePerGateway'): string {
    const text = this.flags[name]
    if (text === '') return ''
    const content = this.#readText(text)
    if (content !== null) return content.trim()
    const spelled = this.spelled(name)
    if (/^[.~]?\//.test(text)) {
      this.warnings.push(`${spelled} looks like a path, but no such file can be read: its text itself counts`)
    }
    if (spelled.startsWith('-') && 'secret' in flags[name]) {
      this.warnings.push(
        `${spelled} is given as text on the command line, which every user of this machine can read: write it to a file and give its path, or set ${environmentName(name)}`,
      )
    }
    return text
  }

  /** The text of a file; null if there is none that can be read. */
  file(path: string): string | null {
    return this.#readText(path)
  }

  /** A whole number of at least `least`, as a plain number. */
  count(name: 'blockPollingInterval' | 'maxTransactionReplacements' | 'extraNodes', least: bigint): number {
    const value = this.flags[name]
    if (value < least || value > 2n ** 31n)
      throw refusal(`${this.spelled(name)} is at least ${least}, not ${value}`)
    return Number(value)
  }

  /** A duration that is at least `least` ms. */
  wait(
    name: 'transactionTimeout' | 'initializeRoundMaxDelay' | 'discoveryTimeout' | 'drainTimeout',
    least: number,
  ): number {
    const value = this.flags[name]
    if (value < least || value > 2 ** 31 - 1) {
      throw refusal(`${this.spelled(name)} is from ${least}ms to 596h, not ${value}ms`)
    }
    return Math.trunc(value)
  }

  /** An address, or null when the flag is empty. */
  address(name: 'ethAcctAddr' | 'ethOrchAddr' | 'ethController' | 'priceFeedAddr'): Address | null {
    return this.flags[name] === '' ? null : checkedAddress(this.spelled(name), this.flags[name])
  }

  /** Checks that a webhook's URL is one, even where it is not used. */
  httpUrl(name: 'authWebhookUrl' | 'orchWebhookUrl' | 'verifierUrl'): void {
    const text = this.flags[name]
    if (text !== '' && !isUrl(text, ['http:', 'https:'])) {
      throw refusal(`${this.spelled(name)} is not an http or https URL`)
    }
  }
}

/** Base URLs of a comma list, each once. Throws SettingsError, also for a list of nothing but commas. */
export function peerUrls(
  reading: Reading,
  name: 'orchAddr' | 'nodes' | 'redeemerAddr',
  defaultHost: string | null,
): string[] {
  const urls = entries(reading.flags[name]).map(
    (entry) => parsePeer(reading.spelled(name), entry, defaultHost).url,
  )
  if (urls.length === 0 && reading.flags[name] !== '') {
    throw refusal(`${reading.spelled(name)} ${shown(reading.flags[name])} names nobody`)
  }
  return [...new Set(urls)]
}

/** A price with the pixels that it is for. Throws SettingsError. */
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

/** An address other than the zero one. Throws SettingsError. */
export function checkedAddress(spelled: string, text: string): Address {
  const address = attempt(spelled, () => parseAddress(text.trim()))
  if (address === ZERO_ADDRESS) throw refusal(`${spelled} is the zero address, which belongs to nobody`)
  return address
}

/** Whether a text is a URL of one of these protocols. */
export function isUrl(text: string, protocols: readonly string[]): boolean {
  const url = URL.parse(text)
  return url !== null && protocols.includes(url.protocol) && url.hostname !== ''
}

/** The entries of a comma list; blank ones are skipped. */
export function entries(text: string): string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
}

/** Turns any error of a parser into a refusal that begins with the flag. */
export function attempt<T>(spelled: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw refusal(`${spelled}: ${messageOf(error)}`)
  }
}

/** The one way in which settings are refused: a sentence. */
export function refusal(sentence: string): SettingsError {
  return new SettingsError('bad-setting', sentence)
}

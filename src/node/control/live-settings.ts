import { currencyToWei, needsFeed } from '../../domain/price.ts'
import { readSetPrice, type SetPrice, writeSetPrice } from '../../domain/price-words.ts'
import { presetNamed } from '../../domain/rendition.ts'
import { ControlError } from '../../io/http/control-route.ts'
import type { Clock } from '../../lib/clock.ts'
import { type Address, parseAddress } from '../../lib/crypto.ts'
import { messageOf } from '../../lib/errors.ts'
import { type Log, type LogLevel, levelOfVerbosity } from '../../lib/log.ts'
import { Rational } from '../../lib/rational.ts'
import type { Parts } from '../parts.ts'

/** A setting that an operator may change while the node runs. */
interface LiveSetting {
  /** The flag of the command line that it stands for. */
  readonly flag: string
  /** As text, in the form that `set` takes. */
  get(): string
  /** Throws with a sentence when the value cannot be used here; nothing has changed then. */
  set(text: string): void
}

/** A setting that is not what the command line says, or is kept over a restart. */
export interface ChangedSetting {
  readonly name: string
  readonly flag: string
  readonly value: string
  /** What the command line, or the default, says. */
  readonly commandLine: string
  /** The value after a restart, where it is not the command line's; null otherwise. */
  readonly kept: string | null
}

const NONE = 'none'
const GATEWAY_PRICE = 'price/'

/**
 * The settings that change at run time. A change is in force at once and ends with the process, unless it is kept: then it is in
 * the node's store, and in force again after a restart, in place of the command line's.
 */
export class LiveSettings {
  readonly #parts: Parts
  readonly #clock: Clock
  readonly #log: Log
  readonly #settings = new Map<string, LiveSetting>()
  readonly #commandLine = new Map<string, string>()
  readonly #kept = new Map<string, string>()
  readonly #prices = new Map<string, SetPrice>()
  #verbosity: number
  #hasStore = false

  constructor(
    parts: Parts,
    needs: { clock: Clock; log: Log; setLogLevel?: ((level: LogLevel) => void) | undefined },
  ) {
    this.#parts = parts
    this.#clock = needs.clock
    this.#log = needs.log
    this.#verbosity = parts.settings.verbosity
    this.#add('logLevel', {
      flag: '-v',
      get: () => String(this.#verbosity),
      set: (text) => {
        this.#verbosity = Number(text)
        needs.setLogLevel?.(levelOfVerbosity(this.#verbosity))
      },
    })
    this.#addSessions(parts)
    this.#addOrchestrator(parts)
    this.#addGateway(parts)
    this.#addGas(parts)
  }

  /** Puts in force what was kept, once the store is open. What no longer fits is left, and told. */
  async restore(): Promise<void> {
    this.#hasStore = true
    for (const [name, value] of await this.#parts.core.store.records.controlSettings()) {
      if (!this.#isKnown(name)) continue
      try {
        this.#settingNamed(name).set(value)
        this.#kept.set(name, value)
      } catch (error) {
        this.#log.warn('a setting that was kept cannot be used, the command line applies', {
          ...{ setting: name, value, reason: messageOf(error) },
        })
      }
    }
    if (this.#kept.size > 0)
      this.#log.info('settings from before the restart apply', Object.fromEntries(this.#kept))
  }

  /** Whether the node's store is open. */
  get hasStore(): boolean {
    return this.#hasStore
  }

  /** Whether this node has such a setting. */
  has(name: string): boolean {
    return this.#settings.has(name)
  }

  /** The value of a setting, as text. */
  value(name: string): string {
    return this.#settingNamed(name).get()
  }

  /** Sets a value, and keeps it over a restart where asked. Throws ControlError; nothing has changed then. */
  async set(name: string, text: string, { persist }: { readonly persist: boolean }): Promise<void> {
    if (persist && !this.#hasStore) {
      throw new ControlError(
        'refused',
        'this node keeps no store, so nothing outlasts a restart: set the flag of the command line instead',
      )
    }
    const setting = this.#settingNamed(name)
    try {
      setting.set(text)
    } catch (error) {
      if (error instanceof ControlError) throw error
      throw new ControlError('bad-parameter', messageOf(error))
    }
    if (!persist) return
    await this.#parts.core.store.records.keepControlSetting(name, text, this.#clock.now())
    this.#kept.set(name, text)
  }

  /** The settings that are not what the command line says, or will not be after a restart. */
  changed(): ChangedSetting[] {
    return [...this.#settings].flatMap(([name, { flag, get }]) => {
      const value = get()
      const commandLine = this.#commandLine.get(name)!
      const kept = this.#kept.get(name) ?? null
      const isChanged = value !== commandLine || (kept !== null && kept !== commandLine)
      return isChanged ? [{ name, flag, value, commandLine, kept: kept === commandLine ? null : kept }] : []
    })
  }

  /** Sets what one gateway is asked. */
  setGatewayPrice(gateway: Address, price: SetPrice, how: { readonly persist: boolean }): Promise<void> {
    return this.set(`${GATEWAY_PRICE}${gateway}`, writeSetPrice(price), how)
  }

  /** Throws ControlError where this node cannot convert the currency of a price. */
  assertConverts(currency: string): void {
    const { chain } = this.#parts
    if (chain ? chain.converts(currency) : !needsFeed(currency)) return
    const followed = chain
      ? `no price feed for ${currency} is followed: start the node with a price in that currency`
      : 'PriceFeedWatcher is not initialized'
    throw new ControlError('bad-parameter', `error converting price: ${followed}`)
  }

  #isKnown(name: string): boolean {
    return this.#settings.has(name) || (name.startsWith(GATEWAY_PRICE) && this.#settings.has('price'))
  }

  #settingNamed(name: string): LiveSetting {
    const known = this.#settings.get(name)
    if (known) return known
    if (name.startsWith(GATEWAY_PRICE)) return this.#gatewayPrice(name)
    throw new ControlError('not-here', `this node has no setting ${name}`)
  }

  #add(name: string, setting: LiveSetting): void {
    this.#settings.set(name, setting)
    this.#commandLine.set(name, setting.get())
  }

  #addSessions({ core, duties, orchestrator, transcoder }: Parts): void {
    if (!duties.takesSessions || duties.transcodesElsewhere) return
    this.#add('maxSessions', {
      flag: '-maxSessions',
      get: () => String(core.limits.maxSessions),
      set: (text) => {
        if (text === 'auto' && (!orchestrator || (transcoder && core.settings.maxSessions !== 'auto'))) {
          throw new ControlError(
            'not-here',
            'auto is for an orchestrator whose transcoders are on other machines, or that was started with it',
          )
        }
        core.limits.maxSessions = text === 'auto' ? 'auto' : Number(text)
      },
    })
  }

  #addOrchestrator({ chain, orchestrator, settings }: Parts): void {
    const prices = orchestrator?.prices
    const price = settings.orchestrator?.price
    if (!prices || !chain || !price) return
    this.#prices.set('price', written(price))
    this.#add('price', {
      flag: '-pricePerUnit',
      get: () => writeSetPrice(this.#prices.get('price')!),
      set: (text) => {
        prices.everyone = this.#sourceOf('price', text)
      },
    })
    for (const [gateway, agreed] of settings.orchestrator!.gatewayPrices) {
      const name = `${GATEWAY_PRICE}${gateway}`
      this.#prices.set(name, written(agreed))
      this.#gatewayPrice(name, writeSetPrice(written(agreed)))
    }
    const { tickets } = orchestrator
    if (!tickets) return
    this.#add('maxFaceValue', {
      flag: '-maxFaceValue',
      get: () => tickets.maxFaceValue.toString(),
      set: (text) => {
        tickets.maxFaceValue = BigInt(text)
      },
    })
  }

  #addGateway({ gateway, settings }: Parts): void {
    if (!gateway || !settings.gateway) return
    const { terms } = gateway
    const { maxPrice } = settings.gateway
    if (maxPrice) this.#prices.set('maxPrice', written(maxPrice))
    this.#add('maxPrice', {
      flag: '-maxPricePerUnit',
      get: () => {
        const price = this.#prices.get('maxPrice')
        return price ? writeSetPrice(price) : NONE
      },
      set: (text) => {
        if (text === NONE) {
          this.#prices.delete('maxPrice')
          terms.maxPrice = null
        } else terms.maxPrice = this.#sourceOf('maxPrice', text)
      },
    })
    this.#add('transcodingOptions', {
      flag: '-transcodingOptions',
      get: () => terms.profiles.map(({ name }) => name).join(','),
      set: (text) => {
        // Those of the command line may be from a file, so that their names alone say nothing.
        const isOwn = text === settings.gateway!.profiles.map(({ name }) => name).join(',')
        terms.profiles = isOwn
          ? settings.gateway!.profiles
          : text.split(',').map((name) => presetNamed(name)!)
      },
    })
  }

  #addGas({ chain }: Parts): void {
    if (!chain) return
    const { gas } = chain
    this.#add('maxGasPrice', {
      flag: '-maxGasPrice',
      get: () => gas.max.toString(),
      set: (text) => {
        const max = BigInt(text)
        if (max !== 0n && max < gas.min) throw new Error(tooLow(max, gas.min))
        gas.max = max
      },
    })
    this.#add('minGasPrice', {
      flag: '-minGasPrice',
      get: () => gas.min.toString(),
      set: (text) => {
        const min = BigInt(text)
        if (gas.max !== 0n && gas.max < min) throw new Error(tooLow(gas.max, min))
        gas.min = min
      },
    })
  }

  /** The setting of what one gateway is asked; `none` is what all are asked. */
  #gatewayPrice(name: string, atStart = NONE): LiveSetting {
    const known = this.#settings.get(name)
    if (known) return known
    const prices = this.#parts.orchestrator?.prices
    if (!prices) throw new ControlError('not-here', 'this node asks for no price')
    const gateway = parseAddress(name.slice(GATEWAY_PRICE.length))
    const setting: LiveSetting = {
      flag: '-pricePerGateway',
      get: () => {
        const price = this.#prices.get(name)
        return price ? writeSetPrice(price) : NONE
      },
      set: (text) => void prices.single.set(gateway, this.#sourceOf(name, text)),
    }
    this.#settings.set(name, setting)
    this.#commandLine.set(name, atStart)
    return setting
  }

  /** Wei per pixel of a price, at the newest rate of its currency; notes it. */
  #sourceOf(name: string, text: string): () => Rational {
    const price = readSetPrice(text)
    this.assertConverts(price.currency)
    const { chain } = this.#parts
    const one = chain
      ? chain.priceNow({ price: { amount: Rational.one, currency: price.currency }, pixelsPerUnit: 1n })
      : () => currencyToWei(Rational.one, price.currency, null)
    const factor = price.amount.div(price.pixels)
    this.#prices.set(name, price)
    return () => one().mul(factor)
  }
}

function written({
  pixelsPerUnit,
  price,
}: {
  readonly price: { readonly amount: Rational; readonly currency: string }
  readonly pixelsPerUnit: bigint
}): SetPrice {
  const currency = price.currency.toLowerCase() === 'wei' ? '' : price.currency
  return { amount: price.amount, currency, pixels: Rational.of(pixelsPerUnit) }
}

function tooLow(max: bigint, min: bigint): string {
  return `a maximum of ${max} is below the minimum gas price of ${min}, so no transaction could be sent`
}

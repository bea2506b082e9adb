import { z } from 'zod'
import { assertNotNegative, parseSetPrice, type SetPrice, writeSetPrice } from '../../domain/price-words.ts'
import { presetNamed } from '../../domain/rendition.ts'
import { ControlError, type ControlRoute, route } from '../../io/http/control-route.ts'
import { messageOf } from '../../lib/errors.ts'
import { type ControlledNode, liveOf, partsOf, unlessOnChain } from './context.ts'
import { address, persist, wei, weiOr, words } from './parameters.ts'

const MAX_SESSIONS = 1_000_000
const MAX_LOG_LEVEL = 100
const DONE = { text: '' }
const DEFAULT = 'default'

/** The routes that change the node's settings while it runs (operations.md §4); with persist=true over a restart. */
export function settingsRoutes(node: ControlledNode): ControlRoute[] {
  const live = () => liveOf(node)
  const unless = (has: () => boolean, text: string) => ({
    refusal: () => (has() ? null : new ControlError('not-here', text)),
  })
  const isOrchestrator = () => node.settings.orchestrator !== null
  return [
    route('/setLogLevel', {
      about: 'Sets how much is logged: 0 errors, 2 warnings, 3 information, 5 everything.',
      changes: true,
      params: z.object({
        loglevel: words('A number from 0')
          .regex(/^\+?\d{1,3}$/, "parameter 'logLevel' not defined")
          .refine((text) => Number(text) <= MAX_LOG_LEVEL, "parameter 'logLevel' not defined"),
        persist,
      }),
      answer: async (params) => {
        await live().set('logLevel', String(Number(params.loglevel)), params)
        return DONE
      },
    }),
    route('/getLogLevel', {
      about: 'How much is logged, as a number.',
      changes: false,
      answer: () => ({ text: live().value('logLevel') }),
    }),
    route('/setMaxSessions', {
      about: 'Sets how many sessions, or streams of a gateway, the node takes at once.',
      roles: ['orchestrator', 'gateway'],
      changes: true,
      params: z.object({ maxSessions: words('A number above 0, or auto'), persist }),
      answer: async (params) => {
        const { maxSessions } = params
        const count = sessionsIn(maxSessions)
        if (!live().has('maxSessions')) {
          throw new ControlError('not-here', 'this node takes no sessions, or those that its flag says')
        }
        await live().set('maxSessions', count, params)
        return { text: `Max sessions set to ${count}\n` }
      },
    }),
    route('/setMaxFaceValue', {
      about: 'Sets the most that a ticket may pay; 0 for no limit.',
      roles: ['orchestrator'],
      changes: true,
      ...unless(isOrchestrator, 'node must be orchestrator node to set maxfacevalue'),
      params: z.object({
        maxfacevalue: weiOr('The most', 'maxfacevalue not set to number'),
        persist,
      }),
      answer: async (params) => {
        assertOnChain(node)
        await live().set('maxFaceValue', params.maxfacevalue.toString(), params)
        return { text: 'ticket max face value set' }
      },
    }),
    route('/setPriceForBroadcaster', {
      about: 'Sets what the orchestrator asks of one gateway, or of all others.',
      roles: ['orchestrator'],
      changes: true,
      ...unless(isOrchestrator, 'Node must be orchestrator node to set price for broadcaster'),
      params: z.object({
        pricePerUnit: words('The price of so many pixels'),
        pixelsPerUnit: words('How many pixels'),
        broadcasterEthAddr: z
          .union([z.literal(DEFAULT), address('The account of the gateway, or default')], {
            error: ({ input }) => `broadcasterEthAddr is not a valid eth address, provided ${input}`,
          })
          .meta({
            description: 'The account of the gateway, or default for all others',
          }),
        currency: words('Wei where it is not given').optional(),
        persist,
      }),
      answer: async (params) => {
        const price = priceIn(params, 'error parsing')
        notNegative(price)
        live().assertConverts(price.currency)
        assertOnChain(node)
        const { broadcasterEthAddr: gateway } = params
        if (gateway === DEFAULT) await live().set('price', writeSetPrice(price), params)
        else await live().setGatewayPrice(gateway, price, params)
        return {
          text: `Price per pixel set to ${params.pricePerUnit} ${price.currency || 'wei'} for ${params.pixelsPerUnit} pixels for broadcaster ${gateway}\n`,
        }
      },
    }),
    route('/setBroadcastConfig', {
      about: 'Sets the most that a gateway pays for a pixel, and the renditions of new streams.',
      roles: ['gateway'],
      changes: true,
      params: z.object({
        maxPricePerUnit: words('The price of so many pixels; 0 or less for no limit').optional(),
        pixelsPerUnit: words('How many pixels').optional(),
        currency: words('Wei where it is not given').optional(),
        transcodingOptions: words('Presets, with commas between').optional(),
        persist,
      }),
      answer: async (params) => {
        const { currency = '', maxPricePerUnit, pixelsPerUnit, transcodingOptions } = params
        const hasPrice = maxPricePerUnit !== undefined && pixelsPerUnit !== undefined
        if (!hasPrice && transcodingOptions === undefined) {
          throw new ControlError(
            'bad-parameter',
            'missing form params (maxPricePerUnit AND pixelsPerUnit) or transcodingOptions',
          )
        }
        // All is checked before anything is changed.
        const price = hasPrice
          ? priceIn({ pricePerUnit: maxPricePerUnit, pixelsPerUnit, currency }, 'Error parsing')
          : null
        const clears = price !== null && price.amount.sign <= 0
        if (price && !clears) live().assertConverts(price.currency)
        const options = transcodingOptions === undefined ? null : presetsIn(transcodingOptions)
        if (node.settings.gateway === null) {
          throw new ControlError('not-here', 'Node must be gateway node to set broadcast config')
        }
        if (price) await live().set('maxPrice', clears ? 'none' : writeSetPrice(price), params)
        if (options !== null) await live().set('transcodingOptions', options, params)
        return DONE
      },
    }),
    route('/getBroadcastConfig', {
      about: 'The most that a gateway pays for a pixel, in wei, and the renditions of new streams.',
      changes: false,
      answer: () => {
        const terms = partsOf(node).gateway?.terms
        return {
          bare: {
            MaxPrice: terms?.maxPrice?.().toString() ?? null,
            TranscodingOptions: terms?.profiles.map(({ name }) => name).join(',') ?? '',
          },
        }
      },
    }),
    route('/setMaxGasPrice', {
      ...unlessOnChain(node),
      about: 'Sets the most that is paid for a unit of gas; 0 for no limit.',
      changes: true,
      params: z.object({ amount: wei('The most', 'Parsing failed for price: '), persist }),
      answer: async (params) => {
        await live().set('maxGasPrice', params.amount.toString(), params)
        return DONE
      },
    }),
    route('/setMinGasPrice', {
      ...unlessOnChain(node),
      about: 'Sets the least that is assumed for a unit of gas.',
      changes: true,
      params: z.object({ minGasPrice: wei('The least', 'invalid minGasPrice: '), persist }),
      answer: async (params) => {
        await live().set('minGasPrice', params.minGasPrice.toString(), params)
        return DONE
      },
    }),
  ]
}

/** A price in a route's parameters. Throws ControlError in peers' words. */
export function priceIn(
  params: {
    readonly pricePerUnit: string
    readonly pixelsPerUnit: string
    readonly currency?: string | undefined
  },
  parsing: 'Error parsing' | 'error parsing',
): SetPrice {
  const { currency = '', pixelsPerUnit, pricePerUnit } = params
  try {
    return parseSetPrice({ pricePerUnit, pixelsPerUnit, currency }, { parsing })
  } catch (error) {
    throw new ControlError('bad-parameter', messageOf(error))
  }
}

/** Throws ControlError for a price below 0. */
export function notNegative(price: SetPrice): void {
  try {
    assertNotNegative(price)
  } catch (error) {
    throw new ControlError('bad-parameter', messageOf(error))
  }
}

function assertOnChain({ settings }: ControlledNode): void {
  if (settings.chain === null) {
    throw new ControlError(
      'not-here',
      'this orchestrator is offchain: it takes no tickets and asks for nothing',
    )
  }
}

function sessionsIn(text: string): string {
  if (text === 'auto') return text
  if (!/^[+-]?\d{1,9}$/.test(text)) {
    throw new ControlError('bad-parameter', `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`)
  }
  const count = Number(text)
  if (count <= 0 || count > MAX_SESSIONS) {
    throw new ControlError('bad-parameter', "Max Sessions must be 'auto' or greater than zero")
  }
  return String(count)
}

/** Those of the names that are presets, each once. Throws ControlError where none is. */
function presetsIn(text: string): string {
  const names = [...new Set(text.split(',').map((name) => name.trim()))].filter((name) => presetNamed(name))
  if (names.length > 0) return names.join(',')
  throw new ControlError('bad-parameter', `invalid transcoding options: ${text.slice(0, 200)}`)
}

import { sideOf, textOf } from '../../domain/causes.ts'
import { wordsOfSkipped } from '../../domain/skipped-words.ts'
import { ControlError, type ControlRoute, route } from '../../io/http/control-route.ts'
import { type ControlledNode, partsOf } from './context.ts'

/** The route by which a gateway asks orchestrators whether they would serve it. */
export function gatewayCheckRoutes(node: ControlledNode): ControlRoute[] {
  return [
    route('/checkOrchestrators', {
      about:
        'Asks all orchestrators whether they would serve a stream with this gateway’s terms, deposit and reserve, and what is missing.',
      roles: ['gateway'],
      changes: false,
      refusal: () =>
        node.settings.gateway === null ? new ControlError('not-here', 'this node is no gateway') : null,
      answer: async (_, { signal }) => {
        const { causes, funds, skipped, willing } = await partsOf(node).gateway!.check(signal)
        return {
          json: {
            orchestrators: [
              ...willing.map(({ address, price, url }) => {
                return { url, serves: true, address, weiPerPixel: price?.toString() ?? null, why: null }
              }),
              ...[...skipped].map(([url, why]) => {
                return { url, serves: false, address: null, weiPerPixel: null, why: wordsOfSkipped(why) }
              }),
            ],
            causes: causes.map((cause) => ({ code: cause.code, side: sideOf(cause.code), ...textOf(cause) })),
            funds: funds && { depositWei: funds.deposit, reserveWei: funds.fundsRemaining },
          },
        }
      },
    }),
  ]
}

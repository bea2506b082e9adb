import { z } from 'zod'
import { ControlError, type ControlRoute } from '../../io/http/control-route.ts'
import type { ControlledNode } from './context.ts'
import { address } from './parameters.ts'
import { DetailedSending, DryRun } from './sending.ts'

const isTrue = (name: string, about: string) =>
  z
    .enum(['true', 'false'], { error: `${name} must be true or false` })
    .optional()
    .transform((text) => text === 'true')
    .meta({ description: about })

/** What every route takes that sends transactions. */
const ADDED = {
  dryRun: isTrue(
    'dryRun',
    'true to simulate it on the chain and send nothing: answers what would be sent, as JSON',
  ),
  details: isTrue('details', 'true to answer each transaction that was sent, as JSON'),
  from: address(
    'With dryRun=true, the account that would send; the node’s own otherwise',
    'invalid from: ',
  ).optional(),
}

/** The routes of a table; those that send transactions can be tried out with dryRun=true, and asked for details. */
export function withTrials(
  node: ControlledNode,
  tableOf: (node: ControlledNode) => ControlRoute[],
): ControlRoute[] {
  return tableOf(node).map((route) => (route.sends ? withTrial(route, node, tableOf) : route))
}

function withTrial(
  route: ControlRoute,
  node: ControlledNode,
  tableOf: (node: ControlledNode) => ControlRoute[],
): ControlRoute {
  const { params = z.object({}), path } = route
  return {
    ...route,
    params: params.extend(ADDED) as NonNullable<ControlRoute['params']>,
    answer: async (given: never, call) => {
      const { details, dryRun, from, ...own } = given as z.output<z.ZodObject<typeof ADDED>>
      if (from !== undefined && !dryRun) throw new ControlError('bad-parameter', 'from goes with dryRun=true')
      if (!dryRun && !details) return route.answer(own as never, call)
      const sending = dryRun ? new DryRun(from ?? null) : new DetailedSending()
      // The same route of a node that sends in this way.
      const same = tableOf({ ...node, sending }).find((one) => one.path === path)!
      await same.answer(own as never, call)
      return { json: sending.answer() }
    },
  }
}

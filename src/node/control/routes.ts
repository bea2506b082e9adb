import { describing } from '../../io/http/control-openapi.ts'
import type { ControlRoute } from '../../io/http/control-route.ts'
import { accountRoutes } from './account-routes.ts'
import { chainRoutes } from './chain-routes.ts'
import { type ConsoleNeeds, consoleRoutes } from './console-routes.ts'
import type { ControlledNode } from './context.ts'
import { fundsRoutes } from './funds-routes.ts'
import { gatewayCheckRoutes } from './gateway-check-route.ts'
import { nodeRoutes } from './node-routes.ts'
import { orchestratorRoutes } from './orchestrator-routes.ts'
import { settingsRoutes } from './settings-routes.ts'
import { signedRoutes } from './signed-routes.ts'
import { stakingRoutes } from './staking-routes.ts'
import { ticketRoutes } from './ticket-routes.ts'
import { withTrials } from './trial.ts'
import { voteRoutes } from './vote-routes.ts'

/**
 * The table of all that the control API answers (operations.md §4). It is there from the start on, so that a slow start can be
 * watched.
 */
export function controlRoutes(node: ControlledNode, forConsole: ConsoleNeeds): readonly ControlRoute[] {
  const routes = [
    ...nodeRoutes(node),
    ...settingsRoutes(node),
    ...chainRoutes(node),
    ...accountRoutes(node),
    ...withTrials(node, stakingRoutes),
    ...withTrials(node, orchestratorRoutes),
    ...withTrials(node, fundsRoutes),
    ...withTrials(node, voteRoutes),
    ...signedRoutes(node),
    ...gatewayCheckRoutes(node),
    ...ticketRoutes(node),
    ...consoleRoutes(node, forConsole),
  ]
  return describing(routes, node.version)
}

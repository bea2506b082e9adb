import { descriptionOf, requiredNames } from './control-parameters.ts'
import { type ControlRoute, route } from './control-route.ts'

const FORM = 'application/x-www-form-urlencoded'

/** The description of the control API, OpenAPI 3.1, written from the table of its routes. */
export function openApiOf(
  routes: readonly ControlRoute[],
  version: string,
): Readonly<Record<string, unknown>> {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Control API of a livepeer-ts node',
      version,
      description:
        'What changes something takes POST, from no web page of another site. Parameters are texts, in the query or in an urlencoded body. Where the node has -cliToken, every request but /healthz shows it.',
    },
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    security: [{ token: [] }, {}],
    paths: Object.fromEntries(routes.map((one) => [one.path, operationsOf(one)])),
  }
}

/** The route that answers the description of a table, itself included. */
export function describing(routes: readonly ControlRoute[], version: string): readonly ControlRoute[] {
  const all: ControlRoute[] = [
    ...routes,
    route('/openapi.json', {
      about: 'This description, in OpenAPI 3.1.',
      changes: false,
      answer: () => ({ json: openApiOf(all, version) }),
    }),
  ]
  return all
}

function operationsOf(described: ControlRoute): Record<string, unknown> {
  const { changes, takesGet = false } = described
  return {
    ...((!changes || takesGet) && { get: operationOf(described, 'query') }),
    ...(changes && { post: operationOf(described, 'body') }),
  }
}

function operationOf(described: ControlRoute, place: 'query' | 'body'): Record<string, unknown> {
  const { about, changes, isOpen = false, params, path, roles } = described
  const required = params ? requiredNames(params) : []
  const schemas = Object.entries(params?.shape ?? {}).map(([name, schema]) => {
    const description = descriptionOf(schema)
    return [name, { type: 'string', ...(description && { description }) }] as const
  })
  const inQuery = schemas.map(([name, schema]) => ({
    ...{ name, in: 'query', required: required.includes(name), schema },
  }))
  const properties = Object.fromEntries(schemas)
  const inBody = {
    content: { [FORM]: { schema: { type: 'object', properties, required } } },
  }
  return {
    operationId: `${place === 'body' ? 'post' : 'get'}${path.replace(/[^a-zA-Z0-9]+(.)?/g, (_, letter = '') => letter.toUpperCase())}`,
    summary: roles ? `${about} For: ${roles.join(', ')}.` : about,
    ...(isOpen && { security: [] }),
    ...(schemas.length > 0 && (place === 'body' ? { requestBody: inBody } : { parameters: inQuery })),
    responses: {
      200: { description: changes ? 'Done.' : 'The answer.' },
      ...(schemas.length > 0 && {
        400: { description: 'A parameter is missing, malformed or out of range.' },
      }),
      ...(changes && { 500: { description: 'The chain or a contract refuses; nothing was sent.' } }),
      503: { description: 'The node has not started yet.' },
    },
  }
}

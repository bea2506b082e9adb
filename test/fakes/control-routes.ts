import type { ControlAnswer, ControlRoute } from '../../src/io/http/control-route.ts'
import { route } from '../../src/io/http/control-route.ts'

type Answers = Readonly<Record<string, () => ControlAnswer | Promise<ControlAnswer>>>

/** Routes without parameters, by path: those that only read, and those that change something. `/healthz` is open to all. */
export function routesOf(reads: Answers, changes: Answers = {}): ControlRoute[] {
  return [
    ...Object.entries(reads).map(([path, answer]) =>
      route(path, { about: 'Reads.', changes: false, isOpen: path === '/healthz', answer }),
    ),
    ...Object.entries(changes).map(([path, answer]) =>
      route(path, { about: 'Changes.', changes: true, answer }),
    ),
  ]
}

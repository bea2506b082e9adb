import { freePort } from '../../devnet/free-port.ts'
import { ConsoleLogin } from '../../src/io/http/console-login.ts'
import { ControlApi } from '../../src/io/http/control-api.ts'
import { type ControlRoute, route } from '../../src/io/http/control-route.ts'
import { LiveEvents } from '../../src/io/http/live-events.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { consoleRoutes } from '../../src/node/control/console-routes.ts'
import type { ControlledNode } from '../../src/node/control/context.ts'
import type { NodeStatus } from '../../src/node/status/status.ts'

/** What a node of a test says of itself: answers by path, which the test may change. */
export type ConsoleAnswers = Record<string, unknown> & { status: NodeStatus }

/** The real control API with the real console, before a node that only says what the test wants. */
export class ConsoleNode implements AsyncDisposable {
  readonly url: string
  readonly live = new LiveEvents({ clock: systemClock })
  readonly answers: ConsoleAnswers
  /** What was asked to be changed, as path and parameters. */
  readonly asked: string[] = []
  readonly #supervisor = new Supervisor()

  private constructor(port: number, answers: ConsoleAnswers) {
    this.url = `http://127.0.0.1:${port}/`
    this.answers = answers
  }

  static async start(answers: ConsoleAnswers, { token = '' } = {}): Promise<ConsoleNode> {
    const port = await freePort()
    const node = new ConsoleNode(port, answers)
    await node.#serve(port, token)
    return node
  }

  async #serve(port: number, token: string): Promise<void> {
    const progress: ControlledNode['progress'] = { waitingFor: null, hasStarted: true, running: null }
    const login = new ConsoleLogin(token, { clock: systemClock })
    const figures = Object.keys(this.answers).map(
      (name): ControlRoute =>
        route(`/${name}`, {
          about: 'Figures.',
          changes: false,
          answer: () => ({ json: this.answers[name] }),
        }),
    )
    const retry = route('/tickets/retry', {
      ...{ about: 'Tries again.', changes: true },
      answer: () => {
        this.asked.push('/tickets/retry')
        return { json: { retried: true } }
      },
    })
    // Of two with one path the last is served.
    const routes = [...consoleRoutes({ progress }, { live: this.live, login }), ...figures, retry]
    const site = { host: '127.0.0.1', port, token, showsCookie: (cookies?: string) => login.shows(cookies) }
    await this.#supervisor.start(new ControlApi(site, { routes, log: silentLog }))
    await this.#supervisor.start(this.live)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#supervisor.stop()
  }
}

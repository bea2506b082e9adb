import type { ComponentType } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { roleName } from '../../commands/status/role-name.ts'
import { VIEW_TITLES, type View, viewsOf } from '../models/views.ts'
import { answer, isLive, problems, seen, view } from '../state.ts'
import { Chain } from './chain.tsx'
import { Login } from './login.tsx'
import { Money } from './money.tsx'
import { Nodes } from './nodes.tsx'
import { Overview } from './overview.tsx'
import { Streams } from './streams.tsx'
import { Tickets } from './tickets.tsx'

const PARTS: Readonly<Record<View, ComponentType>> = {
  ...{ overview: Overview, nodes: Nodes, streams: Streams, tickets: Tickets, money: Money, chain: Chain },
}

/** The whole page. */
export function App() {
  if (answer.value?.kind === 'no-token') return <Login />
  if (seen.value) {
    return (
      <>
        <a class="skip" href="#main">
          Skip to the content
        </a>
        <Head />
        <Main />
      </>
    )
  }
  return (
    <main class="waits">
      <h1>Livepeer</h1>
      {answer.value ? <Problems /> : <p>The node is being asked …</p>}
    </main>
  )
}

function Head() {
  const { address, status } = seen.value!
  const { network = 'offchain', ready, roles = [], version } = status
  return (
    <header>
      <div class="title">
        <h1>
          <span class="brand">Livepeer</span> {roleName(roles)} <span class="host">{address}</span>
        </h1>
        <p>
          {network === 'offchain' ? network : `on ${network}`}, version {version},{' '}
          {ready ? 'ready' : 'not ready'}{' '}
          <span class={isLive.value ? 'live' : 'live off'} role="status">
            {isLive.value ? 'live' : 'not connected'}
          </span>
        </p>
      </div>
      <nav aria-label="Views">
        <ul>
          {viewsOf(seen.value!).map((one) => (
            <li key={one}>
              <a href={`#/${one}`} aria-current={one === view.value ? 'page' : undefined}>
                {VIEW_TITLES[one]}
              </a>
            </li>
          ))}
        </ul>
      </nav>
    </header>
  )
}

function Main() {
  const main = useRef<HTMLElement>(null)
  const shown = useRef(view.value)
  const Shown = PARTS[view.value]
  const title = VIEW_TITLES[view.value]
  useEffect(() => {
    document.title = `${title} – Livepeer ${location.host}`
    // Whoever follows a link by keyboard or ear goes on where it leads.
    if (shown.current !== view.value) main.current?.focus()
    shown.current = view.value
  }, [title])
  return (
    <main id="main" tabIndex={-1} ref={main} class={answer.value?.kind === 'status' ? '' : 'stale'}>
      <Problems />
      <h2>{title}</h2>
      <Shown />
    </main>
  )
}

function Problems() {
  const found = problems.value
  return (
    <section
      class={found.length === 0 ? 'problems none' : 'problems'}
      aria-label="Needs attention"
      aria-live="polite"
    >
      {found.length === 0 ? (
        <p>Nothing needs attention.</p>
      ) : (
        <ul>
          {found.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      )}
    </section>
  )
}

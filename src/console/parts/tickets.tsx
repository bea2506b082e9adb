import { useEffect, useState } from 'preact/hooks'
import { reasonsOf } from '../../commands/status/words.ts'
import {
  type BoardFilter,
  canRetry,
  factsOf,
  NO_FILTER,
  pathOf,
  STATES,
  STORY,
  type Story,
  stepSentence,
  TICKETS,
  type TicketRow,
  ticketRow,
  transactionSentence,
} from '../models/tickets.ts'
import { ask, seen, view } from '../state.ts'
import { type Column, State, Table } from './table.tsx'
import { useFigures } from './use-figures.ts'

const COLUMNS: readonly Column<TicketRow>[] = [
  {
    title: 'Ticket',
    cell: ({ hash }) => (
      <a href={`#/tickets/${hash}`}>
        <code>{hash.slice(0, 14)}…</code>
      </a>
    ),
  },
  { title: 'State', cell: ({ state, tone }) => <State tone={tone} word={state} /> },
  { title: 'Why', cell: ({ reason }) => reason },
  { title: 'Face value', cell: ({ faceValue }) => faceValue, isNumber: true },
  { title: 'Paid', cell: ({ paid }) => paid, isNumber: true },
  { title: 'Expires in', cell: ({ deadline }) => deadline },
  { title: 'Gateway', cell: ({ sender }) => <code>{sender}</code> },
  { title: 'Received', cell: ({ received }) => received },
  { title: 'Transaction', cell: ({ txHash }) => (txHash === '' ? '' : <code>{txHash}</code>) },
]

/** The board of winning tickets, or the story of the one that the page's address names. */
export function Tickets() {
  const [hash, setHash] = useState(ticketIn(location.hash))
  useEffect(() => {
    const look = () => setHash(ticketIn(location.hash))
    addEventListener('hashchange', look)
    return () => removeEventListener('hashchange', look)
  }, [view.value])
  return hash === null ? <Board /> : <StoryOf hash={hash} />
}

function ticketIn(hash: string): string | null {
  return /^#\/tickets\/(0x[0-9a-f]{64})$/.exec(hash)?.[1] ?? null
}

function Board() {
  const [filter, setFilter] = useState<BoardFilter>(NO_FILTER)
  /** The places where the pages begin, the first one's left out. */
  const [pages, setPages] = useState<readonly string[]>([])
  const figures = useFigures(pathOf(filter, pages.at(-1) ?? null), TICKETS)
  const change = (part: Partial<BoardFilter>) => {
    setFilter({ ...filter, ...part })
    setPages([])
  }
  return (
    <>
      <Filters filter={filter} onChange={change} />
      {figures === null && <p class="empty">The tickets are being read …</p>}
      {figures && 'fault' in figures && (
        <p class="fault" role="alert">
          {figures.fault}
        </p>
      )}
      {figures && 'value' in figures && (
        <>
          <Table
            {...{ caption: 'Winning tickets, the newest first', columns: COLUMNS }}
            rows={figures.value.tickets.map((one) => ticketRow(one, seen.value!.status.nowMs))}
            empty="none of that kind"
            keyOf={(row) => row.hash}
          />
          <p class="pages">
            <button type="button" disabled={pages.length === 0} onClick={() => setPages(pages.slice(0, -1))}>
              Newer
            </button>{' '}
            <button
              type="button"
              disabled={figures.value.next === null}
              onClick={() => setPages([...pages, figures.value.next!])}
            >
              Older
            </button>
          </p>
        </>
      )}
    </>
  )
}

function Filters({
  filter,
  onChange,
}: {
  readonly filter: BoardFilter
  readonly onChange: (part: Partial<BoardFilter>) => void
}) {
  return (
    <form class="filters" onSubmit={(event) => event.preventDefault()}>
      <label>
        State{' '}
        <select
          value={filter.state}
          onChange={({ currentTarget }) => onChange({ state: currentTarget.value, reason: '' })}
        >
          {STATES.map(([state, title]) => (
            <option key={state} value={state}>
              {title}
            </option>
          ))}
        </select>
      </label>
      <label>
        Reason{' '}
        <select
          value={filter.reason}
          onChange={({ currentTarget }) => onChange({ reason: currentTarget.value })}
        >
          <option value="">any</option>
          {reasonsFor(filter.state).map((reason) => (
            <option key={reason} value={reason}>
              {reason}
            </option>
          ))}
        </select>
      </label>
      <label>
        Gateway{' '}
        <input
          {...{ placeholder: '0x…', spellcheck: false, value: filter.sender }}
          onChange={({ currentTarget }) => onChange({ sender: currentTarget.value.trim() })}
        />
      </label>
      <label>
        Expires within, L1 blocks{' '}
        <input
          {...{ type: 'number', min: 1, value: filter.within }}
          onChange={({ currentTarget }) => onChange({ within: currentTarget.value.trim() })}
        />
      </label>
    </form>
  )
}

function reasonsFor(state: string): readonly string[] {
  const states = state === '' ? ['open', 'refused'] : state === 'waiting' ? ['open'] : [state]
  return [...new Set(states.flatMap(reasonsOf))]
}

function StoryOf({ hash }: { readonly hash: string }) {
  const figures = useFigures(`ticket?ticket=${hash}`, STORY)
  return (
    <>
      <p>
        <a href="#/tickets">All tickets</a>
      </p>
      {figures === null && <p class="empty">The ticket is being read …</p>}
      {figures && 'fault' in figures && <p class="fault">{figures.fault}</p>}
      {figures && 'value' in figures && <StoryPart story={figures.value} />}
    </>
  )
}

function StoryPart({ story }: { readonly story: Story }) {
  const row = ticketRow(story, seen.value!.status.nowMs)
  return (
    <section class="chapter">
      <h3>
        Ticket <code>{story.ticket}</code>
      </h3>
      <p>
        <State tone={row.tone} word={row.state} /> {row.reason}
      </p>
      <dl class="facts">
        {factsOf(story).map(([name, fact]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{fact}</dd>
          </div>
        ))}
      </dl>
      <h4>What became of it</h4>
      <ol class="feed">
        {story.story.map((step, index) => (
          <li key={index}>
            <time>{new Date(step.atMs).toLocaleString()}</time> {stepSentence(step)}
          </li>
        ))}
      </ol>
      <h4>Its transactions</h4>
      {story.transactions.length === 0 ? (
        <p class="empty">none</p>
      ) : (
        <ul class="feed">
          {story.transactions.map((transaction) => (
            <li key={`${transaction.account} ${transaction.nonce}`}>
              {transactionSentence(transaction)}:{' '}
              {transaction.txHashes.map((txHash) => (
                <code key={txHash}>{txHash} </code>
              ))}
            </li>
          ))}
        </ul>
      )}
      {canRetry(story) && <Retry hash={story.ticket} />}
    </section>
  )
}

function Retry({ hash }: { readonly hash: string }) {
  const [outcome, setOutcome] = useState('')
  const [isBusy, setBusy] = useState(false)
  const retry = async () => {
    setBusy(true)
    const answer = await ask('tickets/retry', { ticket: hash }).catch((error) => ({
      httpStatus: 0,
      body: `${error}`,
    }))
    setOutcome(answer.httpStatus === 200 ? 'It is being tried again.' : answer.body)
    setBusy(false)
  }
  return (
    <p>
      <button type="button" disabled={isBusy} onClick={retry}>
        Try again now
      </button>{' '}
      <span role="status">{outcome}</span>
    </p>
  )
}

import type { SeenNode } from '../../commands/status/answer.ts'

/** The views of the console, in the order in which they are listed. */
export const VIEWS = ['overview', 'nodes', 'streams', 'tickets', 'money', 'chain'] as const
export type View = (typeof VIEWS)[number]

/** What each is called. */
export const VIEW_TITLES: Readonly<Record<View, string>> = {
  ...{ overview: 'Overview', nodes: 'Nodes', streams: 'Streams' },
  ...{ tickets: 'Tickets', money: 'Money', chain: 'Chain' },
}

/** The view that the fragment of the page's address names, as in `#/money`; null where it names none. */
export function viewIn(hash: string): View | null {
  return VIEWS.find((view) => hash === `#/${view}` || hash.startsWith(`#/${view}/`)) ?? null
}

/** The views that have something to show for a node. */
export function viewsOf({ status }: SeenNode): View[] {
  const { chain, money, streams, tickets } = status
  const has: Readonly<Record<View, boolean>> = {
    ...{ overview: true, nodes: true, streams: streams !== undefined },
    ...{ tickets: tickets !== undefined, money: money !== undefined, chain: chain !== undefined },
  }
  return VIEWS.filter((view) => has[view])
}

import { type NodeRow, nodeRows, nodesLine } from '../models/nodes.ts'
import { seen } from '../state.ts'
import { type Column, State, Table } from './table.tsx'

const COLUMNS: readonly Column<NodeRow>[] = [
  { title: 'Node', cell: ({ name }) => name },
  { title: 'Role', cell: ({ role }) => role },
  { title: 'State', cell: ({ state }) => <State tone={state === 'ready' ? 'good' : 'bad'} word={state} /> },
  { title: 'Sessions', cell: ({ sessions }) => sessions, isNumber: true },
  { title: 'Load', cell: ({ load, name }) => (load === null ? '' : <Load of={name} part={load} />) },
  { title: 'Last seen', cell: ({ seen }) => seen },
  { title: 'Version', cell: ({ version }) => version },
  { title: 'Known as', cell: ({ via }) => via },
  { title: 'Notes', cell: ({ notes }) => notes },
]

/** All nodes that this one knows. */
export function Nodes() {
  const rows = nodeRows(seen.value!)
  return (
    <>
      <p>{nodesLine(rows)}.</p>
      <Table caption="Nodes" columns={COLUMNS} empty="none" keyOf={({ key }) => key} rows={rows} />
    </>
  )
}

function Load({ of, part }: { readonly of: string; readonly part: number }) {
  const percent = Math.round(part * 100)
  return (
    <span class="load">
      <meter min={0} max={100} high={90} value={percent} aria-label={`load of ${of}`} /> {percent} %
    </span>
  )
}

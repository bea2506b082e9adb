import { useState } from 'preact/hooks'
import { type StreamRow, streamRows } from '../models/streams.ts'
import { seen } from '../state.ts'
import { Player } from './player.tsx'
import { type Column, Table } from './table.tsx'

/** The streams of a gateway, each to be played here. */
export function Streams() {
  const [playing, play] = useState<string | null>(null)
  const rows = streamRows(seen.value!) ?? []
  const columns: readonly Column<StreamRow>[] = [
    { title: 'Stream', cell: ({ name }) => name },
    { title: 'Renditions', cell: ({ renditions }) => renditions.join(', ') },
    { title: 'Worked on by', cell: ({ orchestrators }) => orchestrators },
    {
      title: 'Playback',
      cell: ({ name }) => (
        <button type="button" onClick={() => play(playing === name ? null : name)}>
          {playing === name ? 'Stop' : 'Play'} <span class="hidden">{name}</span>
        </button>
      ),
    },
  ]
  const played = rows.find(({ name }) => name === playing)
  return (
    <>
      <Table {...{ caption: 'Streams', columns, rows }} empty="none just now" keyOf={({ name }) => name} />
      {played && <Player key={played.name} name={played.name} playlist={played.playlist} />}
    </>
  )
}

import type { SeenNode } from '../../commands/status/answer.ts'
import { roleName } from '../../commands/status/role-name.ts'
import { duration } from '../../commands/status/words.ts'
import { counted } from '../../lib/counted.ts'

/** A member of a cluster renews its lease every 2 s, and was read half a second ago at most: one that is older than this is late. */
const LATE_MS = 2_900

/** A node, or another process that this node works with, as a row. */
export interface NodeRow {
  /** What tells it from others. */
  readonly key: string
  readonly role: string
  readonly name: string
  /** `this node`, or how it is known. */
  readonly via: string
  readonly version: string
  /** `3 of 10`; empty where it takes none. */
  readonly sessions: string
  /** The part of its capacity that is taken, from 0 to 1; null where it has none. */
  readonly load: number | null
  /** What it leads, or other facts, with commas between. */
  readonly notes: string
  readonly seen: string
  readonly state: 'ready' | 'not ready' | 'late' | 'away'
}

/** The rows of all nodes that a node knows: itself first, those of its cluster, its redeemers, its transcoders. */
export function nodeRows(node: SeenNode): NodeRow[] {
  return [...clusterRows(node), ...redeemerRows(node), ...transcoderRows(node)]
}

function clusterRows(node: SeenNode): NodeRow[] {
  const { cluster } = node.status
  const own = ownRow(node)
  if (!cluster) return [own]
  const rows = cluster.members.map((member): NodeRow => {
    const { alive, leads = [], roles, seenMs, silentMs, version, work } = member
    const isThis = member.node === cluster.node
    // While the database does not answer this node, it does not know of any that has ended.
    const isAway = !alive && cluster.isIn
    const isLate = !alive || (seenMs ?? 0) > LATE_MS
    const seen = !isAway ? `${duration(seenMs ?? 0)} ago` : `silent for ${duration(silentMs)}`
    return {
      ...{ key: `member ${member.node}`, role: roleName(roles), name: member.address, version },
      via: isThis ? 'this node' : 'of the cluster',
      ...takes(work.sessions, work.maxSessions),
      notes: notesOf([
        ...leads.map(({ duty, forMs }) => `leads: ${duty}, for ${duration(forMs)}`),
        ...(alive && work.maxSessions > 0 && !work.takesSegments ? ['takes no more'] : []),
      ]),
      seen: isThis ? 'now' : seen,
      state: isThis ? own.state : isAway ? 'away' : isLate ? 'late' : 'ready',
    }
  })
  const isListed = cluster.members.some((member) => member.node === cluster.node)
  const ofThis = (row: NodeRow) => (row.via === 'this node' ? 0 : 1)
  return [...(isListed ? [] : [own]), ...rows].sort((a, b) => ofThis(a) - ofThis(b))
}

function ownRow({ address, status }: SeenNode): NodeRow {
  const { capacity, drain, ready, roles = [], sessions, streams, version, waitingFor } = status
  const running = sessions ?? streams?.length
  return {
    ...{ key: 'this node', role: roleName(roles), name: address, via: 'this node', version },
    ...takes(running ?? 0, capacity?.maxSessions ?? running ?? 0),
    notes: notesOf([...(waitingFor && !ready ? [`waits for ${waitingFor}`] : []), ...(drain ? [drain] : [])]),
    seen: 'now',
    state: ready ? 'ready' : 'not ready',
  }
}

function redeemerRows({ status: { nowMs, redeemers = [] } }: SeenNode): NodeRow[] {
  return redeemers.map(({ answers, lastError, name, sinceMs }) => ({
    ...{ key: `redeemer ${name}`, role: 'redeemer', name, via: 'redeems for this node', version: '' },
    ...takes(0, 0),
    notes: answers ? notesOf([lastError ?? '']) : (lastError ?? ''),
    seen: sinceMs === null ? 'not tried yet' : answers ? 'now' : `away for ${duration(nowMs - sinceMs)}`,
    state: answers ? 'ready' : sinceMs === null ? 'not ready' : 'away',
  }))
}

function transcoderRows({ status: { nowMs, transcoders = [] } }: SeenNode): NodeRow[] {
  return transcoders.map((transcoder) => {
    const { address, capacity, hardware, lastAnswerMs, load, name, outOfRotation, version = '' } = transcoder
    return {
      key: `transcoder ${name} ${address}`,
      ...{ role: 'transcoder', name: name === '' ? address : `${name} at ${address}`, version },
      via: 'works for this node',
      ...takes(load, capacity),
      notes: notesOf([hardware, outOfRotation ?? '']),
      seen:
        outOfRotation !== null || lastAnswerMs == null
          ? 'registered'
          : `${duration(nowMs - lastAnswerMs)} ago`,
      state: outOfRotation === null ? 'ready' : 'away',
    }
  })
}

function takes(running: number, most: number): Pick<NodeRow, 'sessions' | 'load'> {
  if (most === 0) return { sessions: running === 0 ? '' : String(running), load: null }
  return { sessions: `${running} of ${most}`, load: Math.min(1, running / most) }
}

function notesOf(notes: readonly string[]): string {
  return notes.filter((note) => note !== '').join(', ')
}

/** `3 of 4 nodes are there`: all that a node knows of, in one line. */
export function nodesLine(rows: readonly NodeRow[]): string {
  const there = rows.filter(({ state }) => state !== 'away').length
  return `${there} of ${counted(rows.length, 'node')} ${there === 1 ? 'is' : 'are'} there`
}

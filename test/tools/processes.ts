import { readdirSync, readFileSync } from 'node:fs'

/** The living processes of a session, which its leader's number names. */
export function membersOf(session: number): number[] {
  return processes().filter((pid) => statOf(pid)?.session === session)
}

/** Whether a process runs; one that has ended and waits to be collected does not. */
export function isAlive(pid: number): boolean {
  return statOf(pid) !== null
}

/** A process and all its descendants, with those that belong to their sessions. */
export function familyOf(root: number): number[] {
  const all = processes().flatMap((pid) => {
    const stat = statOf(pid)
    return stat ? [{ pid, ...stat }] : []
  })
  const family = new Set([root])
  for (let before = 0; before < family.size; ) {
    before = family.size
    for (const { parent, pid, session } of all) {
      // A descendant that leads a session has its watcher there.
      if (family.has(parent) || (session !== rootSession(all, root) && family.has(session))) family.add(pid)
    }
  }
  return [...family]
}

function rootSession(all: readonly { pid: number; session: number }[], root: number): number | undefined {
  return all.find(({ pid }) => pid === root)?.session
}

function processes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** Null for a process that has ended, also while it waits to be collected. */
function statOf(pid: number): { parent: number; session: number } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, parent, , session] = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' ? null : { parent: Number(parent), session: Number(session) }
  } catch {
    return null
  }
}

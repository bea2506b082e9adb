import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { makeOwnCerts, type OwnCerts, readOwnCerts } from '../../src/io/rpc/own-certs.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemDice } from '../../src/lib/dice.ts'

/** An operator's certificates for nodes by name, each reached at 127.0.0.1 unless its name is followed by `=HOST`. */
export function ownCerts(t: TestContext, ...names: string[]): OwnCerts[] {
  const directory = mkdtempSync(join(tmpdir(), 'livepeer-certs-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const nodes = names.map((text) => {
    const [name = '', host = '127.0.0.1'] = text.split('=')
    return { name, hosts: [host] }
  })
  const needs = { clock: systemClock, dice: systemDice }
  makeOwnCerts(directory, nodes, needs)
  return nodes.map(({ name }) => readOwnCerts(join(directory, name), needs))
}

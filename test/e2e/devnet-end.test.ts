import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import type { Setup } from '../../devnet/setups.ts'
import { eventually } from '../tools/until.ts'
import { Devnet, nothingLeft } from './devnet-process.ts'

/** `npm start` when things end that should not: itself, or one of its nodes. */

const PHASES: [phase: string, setup: Setup, said: RegExp | null][] = [
  ['the chain starts', 'redeemer', null],
  ['the first node of a cluster starts, beside its database', 'cluster', /\$ livepeer -redeemer/],
  ['the last node starts', 'redeemer', /\$ livepeer -gateway/],
  ['it streams', 'redeemer', /^\d+ segments transcoded/m],
]
for (const [phase, setup, said] of PHASES) {
  test(`killed while ${phase}, it leaves no process and no port behind`, async (t) => {
    const devnet = new Devnet(['--setup', setup])
    if (said) await devnet.says(said)
    else {
      await devnet.says(/starting a chain/)
      await eventually('the chain’s process', () => devnet.family().length > 0)
    }
    const { ports } = devnet
    const family = devnet.family()
    t.diagnostic(`${family.length} processes, ports ${ports.join(' ')}`)
    devnet.child.kill('SIGKILL')
    await devnet.ended
    await nothingLeft(family, ports)
  })
}

test('a node stopped by hand is said to be gone, the others go on, and it comes back by the printed command', async (t) => {
  const devnet = new Devnet(['--setup', 'redeemer'])
  t.after(() => devnet.child.kill('SIGKILL'))
  await devnet.says(/^\d+ segments transcoded/m)
  const [, pid] = /^redeemer .*\n.*process (\d+)$/m.exec(devnet.stdout)!
  process.kill(Number(pid), 'SIGTERM')
  const [, command] = await devnet.says(
    /^the redeemer is gone \(exit code 0\)\. The others go on; start it again with\n\n\$ (.*)$/m,
  )
  const [, before] = /^(\d+) segments transcoded(?!.*segments transcoded)/ms.exec(devnet.stdout)!
  await devnet.says(new RegExp(`^(?!${before} )\\d+ segments transcoded.*gone: redeemer$`, 'm'))
  const again = spawn('sh', ['-c', `exec ${command}`], { cwd: '/', stdio: 'ignore' })
  t.after(() => again.kill('SIGKILL'))
  await devnet.says(/^the redeemer is back$/m)
  const family = devnet.family()
  devnet.child.kill('SIGINT')
  assert.equal(await devnet.ended, 0, devnet.stdout + devnet.stderr)
  await nothingLeft(family)
  assert.equal(again.exitCode, null, 'what was started by hand is not stopped')
})

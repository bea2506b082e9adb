import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readOwnCerts } from '../io/rpc/own-certs.ts'
import { systemClock } from '../lib/clock.ts'
import { systemDice } from '../lib/dice.ts'
import { runCerts } from './certs.ts'

function scene(t: TestContext) {
  const parent = mkdtempSync(join(tmpdir(), 'livepeer-certs-command-'))
  t.after(() => rmSync(parent, { recursive: true, force: true }))
  const directory = join(parent, 'certs')
  const run = (...argv: string[]) => {
    let [out, error] = ['', '']
    const code = runCerts({
      ...{ argv, clock: systemClock, dice: systemDice },
      write: (text) => {
        out += text
      },
      writeError: (text) => {
        error += text
      },
    })
    return { code, out, error }
  }
  return { directory, run }
}

test('the output names what was made and where it belongs', (t) => {
  const { directory, run } = scene(t)
  assert.deepEqual(run(directory, 'redeemer=10.0.0.5,redeemer.internal', '10.0.0.6'), {
    code: 0,
    out:
      `${directory}/ca-key.pem: the authority's key; keep it, away from the nodes' machines\n` +
      `${directory}/redeemer: for 10.0.0.5, redeemer.internal; copy it there and give it as -certs\n` +
      `${directory}/10.0.0.6: for 10.0.0.6; copy it there and give it as -certs\n`,
    error: '',
  })
  readOwnCerts(join(directory, 'redeemer'), { clock: systemClock })
  // Without a port an IPv6 address needs no brackets, and may have them.
  assert.equal(
    run(directory, 'o=[2001:db8::1],::1').out,
    `${directory}/o: for 2001:db8::1, ::1; copy it there and give it as -certs\n`,
  )
  const { cert } = readOwnCerts(join(directory, 'o'), { clock: systemClock })
  assert.equal(new X509Certificate(cert).checkIP('2001:db8::1'), '2001:db8::1')
  assert.deepEqual(run(directory, 'transcoder'), {
    code: 0,
    out: `${directory}/transcoder: for transcoder; copy it there and give it as -certs\n`,
    error: '',
  })
  assert.deepEqual(run(directory, 'redeemer'), {
    code: 1,
    out: '',
    error: `${directory}/redeemer already exists: remove it first if redeemer should get a new certificate\n`,
  })
})

test('a bad command line makes no certificates and ends with one sentence', (t) => {
  const { directory, run } = scene(t)
  const cases: [argv: string[], sentence: string][] = [
    [[], 'livepeer certs needs a folder and at least one node'],
    [[directory], 'livepeer certs needs a folder and at least one node'],
    [['--out', directory, 'a'], 'livepeer certs needs a folder and at least one node'],
    [[directory, 'a', 'a'], 'a is given twice'],
    [[directory, '../a'], '"../a" is not NODE or NODE=HOST,HOST'],
    [[directory, '..'], '".." is not NODE or NODE=HOST,HOST'],
    [[directory, 'a/b'], '"a/b" is not NODE or NODE=HOST,HOST'],
    [[directory, 'a='], '"a=" is not NODE or NODE=HOST,HOST'],
    [[directory, 'a=b,'], '"a=b," is not NODE or NODE=HOST,HOST'],
    [[directory, 'ca.pem'], '"ca.pem" is not NODE or NODE=HOST,HOST'],
    [[directory, 'a=\n'], '"a=?" is not NODE or NODE=HOST,HOST'],
  ]
  for (const [argv, sentence] of cases) {
    const error = `${sentence}: livepeer certs --help explains\n`
    assert.deepEqual(run(...argv), { code: 2, out: '', error })
  }
  assert.equal(existsSync(directory), false)
  for (const word of ['-h', '--help', '-help']) {
    const { code, out } = run(word)
    assert.equal(code, 0)
    assert.match(out, /^Usage: livepeer certs DIR NODE/)
  }
})

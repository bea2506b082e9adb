import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeOwnCerts } from '../../../src/io/rpc/own-certs.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { systemDice } from '../../../src/lib/dice.ts'
import type { Mistake, Place } from '../mistake.ts'

const TRANSCODER = '-transcoder -orchSecret s -orchAddr 127.0.0.1:{port}'

const withCerts = async ({ folder }: Place) =>
  makeOwnCerts(
    join(folder, 'certs'),
    [
      { name: 'one', hosts: ['127.0.0.1'] },
      { name: 'other', hosts: ['127.0.0.1'] },
    ],
    { clock: systemClock, dice: systemDice },
  )

/** The operator's own certificates. */
export const mistakes: readonly Mistake[] = [
  {
    name: 'a folder of certificates that does not exist',
    flags: `${TRANSCODER} -certs certs/one`,
    ends: 1,
    says: /certs\/one/,
    flag: '-certs',
  },
  {
    name: 'a folder with other files',
    flags: `${TRANSCODER} -certs certs`,
    files: { 'certs/ca.pem': 'x', 'certs/cert.pem': 'x', 'certs/key.pem': 'x' },
    ends: 1,
    says: /^-certs certs does not hold certificates \(.*\): give a node's folder as 'livepeer certs' made it$/,
    flag: '-certs',
  },
  {
    name: 'the key of another node',
    flags: `${TRANSCODER} -certs certs/one`,
    prepare: async (place) => {
      await withCerts(place)
      const in_ = (name: string) => join(place.folder, 'certs', name, 'key.pem')
      await copyFile(in_('other'), in_('one'))
      return true
    },
    ends: 1,
    says: 'key.pem and cert.pem of -certs certs/one do not belong together',
    flag: '-certs',
  },
  {
    name: 'the authority of another operator',
    flags: `${TRANSCODER} -certs certs/one`,
    prepare: async (place) => {
      await withCerts(place)
      const needs = { clock: systemClock, dice: systemDice }
      const foreign = join(place.folder, 'foreign')
      makeOwnCerts(foreign, [{ name: 'one', hosts: ['127.0.0.1'] }], needs)
      await copyFile(join(foreign, 'ca.pem'), join(place.folder, 'certs/one/ca.pem'))
      return true
    },
    ends: 1,
    says: 'cert.pem of -certs certs/one was not signed by the ca.pem beside it',
    flag: '-certs',
  },
  {
    name: 'certificates over clear text',
    flags: '-transcoder -orchSecret s -orchAddr http://127.0.0.1:{port} -certs certs/one',
    ends: 1,
    says: '-orchAddr http://127.0.0.1:{port} is clear text, so certificates cannot be checked: write it with https://, or leave -certs out',
    flag: '-certs',
  },
  {
    name: 'certificates for a gateway',
    flags: '-gateway -orchAddr 127.0.0.1:{port} -httpAddr 127.0.0.1:{port2} -certs certs/one',
    ends: 'runs',
    says: '-certs has no effect here: it is for an orchestrator or a transcoder or a redeemer',
    flag: '-certs',
  },
]

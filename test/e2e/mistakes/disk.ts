import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SmallDisk } from '../../tools/small-disk.ts'
import type { Mistake } from '../mistake.ts'

const ORCHESTRATOR = '-orchestrator -orchSecret s -serviceAddr 127.0.0.1:{port}'

/** Folders, disks and databases. */
export const mistakes: readonly Mistake[] = [
  {
    name: 'a file in place of the data folder',
    flags: `${ORCHESTRATOR} -dataDir data`,
    files: { data: 'x' },
    ends: 1,
    says: 'the data folder data cannot be used, there is a file where a folder should be: fix that, or give another with -dataDir',
    flag: '-dataDir',
  },
  {
    name: 'a data folder where none can be made',
    flags: `${ORCHESTRATOR} -dataDir /proc/nowhere`,
    ends: 1,
    says: /^the data folder \/proc\/nowhere cannot be used, .*: fix that, or give another with -dataDir$/,
    flag: '-dataDir',
  },
  {
    name: 'a folder for the verifier that is not there',
    flags:
      '-gateway -httpAddr 127.0.0.1:{port} -verifierUrl http://127.0.0.1:{port2}/verify -verifierPath nowhere',
    ends: 1,
    says: /-verifierPath nowhere cannot be written \(ENOENT.*\): give the folder that is shared with the verifier$/,
    flag: '-verifierPath',
  },
  ...(['objectStore', 'recordStore'] as const).map(
    (flag): Mistake => ({
      name: `a file above the folder of -${flag}`,
      flags: `-gateway -httpAddr 127.0.0.1:{port} -orchAddr 127.0.0.1:{port2} -${flag} taken/segments`,
      files: { taken: 'x' },
      ends: 1,
      says: `-${flag} {folder}/taken/segments cannot be used, there is a file where a folder should be: fix that, or give another folder`,
      flag: `-${flag}`,
    }),
  ),
  {
    name: 'a folder for recordings where none can be made',
    flags:
      '-gateway -httpAddr 127.0.0.1:{port} -orchAddr 127.0.0.1:{port2} -recordStore /proc/nowhere/recordings',
    ends: 1,
    says: /^-recordStore \/proc\/nowhere\/recordings cannot be used, .*: fix that, or give another folder$/,
    flag: '-recordStore',
  },
  {
    name: 'a full disk',
    flags: `${ORCHESTRATOR} -dataDir disk`,
    files: { disk: null },
    prepare: async ({ defer, folder }) => {
      const disk = SmallDisk.mount(64 * 1024)
      if (!disk) return null
      defer(() => disk[Symbol.dispose]())
      disk.fill()
      const { rmdir, symlink } = await import('node:fs/promises')
      await rmdir(join(folder, 'disk'))
      return symlink(disk.path, join(folder, 'disk'))
    },
    ends: 1,
    says: 'the data folder disk cannot be used, the disk is full: fix that, or give another with -dataDir',
    flag: '-dataDir',
  },
  {
    name: 'a disk that can only be read',
    flags: `${ORCHESTRATOR} -dataDir disk`,
    files: { disk: null },
    prepare: async ({ defer, folder }) => {
      const disk = SmallDisk.mount(64 * 1024)
      if (!disk) return null
      defer(() => disk[Symbol.dispose]())
      disk.makeReadOnly()
      const { rmdir, symlink } = await import('node:fs/promises')
      await rmdir(join(folder, 'disk'))
      return symlink(disk.path, join(folder, 'disk'))
    },
    ends: 1,
    says: 'the data folder disk cannot be used, the file system is read-only: fix that, or give another with -dataDir',
    flag: '-dataDir',
  },
  {
    name: 'a database that is none',
    flags: ORCHESTRATOR,
    files: {
      'data/livepeer-ts.sqlite3': 'this is not a database, but it is long enough to look like one: '.repeat(
        30,
      ),
    },
    ends: 1,
    says: 'the database data/livepeer-ts.sqlite3 cannot be used, it is not a database: move it away with the files of the same name beside it, and start without it or with a backup',
    flag: null,
  },
  {
    name: 'a data folder in use',
    flags: ORCHESTRATOR,
    files: { data: null },
    prepare: async ({ defer, folder }) => {
      const other = new DatabaseSync(join(folder, 'data/livepeer-ts.sqlite3.lock'))
      other.exec('begin exclusive')
      defer(() => other.close())
      return true
    },
    ends: 1,
    says: 'another process is using data/livepeer-ts.sqlite3: stop it first, or give this one its own -dataDir',
    flag: '-dataDir',
  },
  {
    name: 'a database that another program has open for itself',
    flags: ORCHESTRATOR,
    files: { data: null },
    prepare: async ({ defer, folder }) => {
      const other = new DatabaseSync(join(folder, 'data/livepeer-ts.sqlite3'))
      other.exec('create table t (x); begin exclusive')
      defer(() => other.close())
      return true
    },
    ends: 1,
    says: 'the database data/livepeer-ts.sqlite3 cannot be used, another program has locked it: fix that, or give the node another -dataDir',
    flag: '-dataDir',
  },
  {
    name: 'a gateway’s data folder that cannot be used',
    flags: '-gateway -orchAddr 127.0.0.1:{port} -httpAddr 127.0.0.1:{port2} -dataDir data',
    files: { data: 'x' },
    ends: 'runs',
    says: /WARN .*data folder not usable, the gateway runs without it and keeps nothing.*-dataDir/,
    flag: '-dataDir',
  },
]

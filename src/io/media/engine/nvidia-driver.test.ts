import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openLog } from '../../../lib/log.ts'
import { installedDriver, NEEDED_DRIVER, tellDriver } from './nvidia-driver.ts'

const folder = mkdtempSync(join(tmpdir(), 'driver-'))
after(() => rmSync(folder, { recursive: true }))

/** A stand-in for the file in which a driver tells its version. */
function driverFile(text: string): string {
  const file = join(folder, 'version')
  writeFileSync(file, text)
  return file
}

const proprietary = (version: string) =>
  `NVRM version: NVIDIA UNIX x86_64 Kernel Module  ${version}  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n`
const open = (version: string) =>
  `NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  ${version}  Release Build  (root@build)  Tue Sep  3\nGCC version:  gcc version 13.2.0\n`

test('the version of either kind of kernel module is read', () => {
  assert.equal(installedDriver(driverFile(proprietary('535.104.05'))), '535.104.05')
  assert.equal(installedDriver(driverFile(open('580.65.06'))), '580.65.06')
  assert.equal(installedDriver(driverFile(proprietary('610.00'))), '610.00')
  assert.equal(installedDriver(driverFile('GCC version: 12.2.0 \n')), null)
  assert.equal(installedDriver(join(folder, 'absent')), null)
})

for (const [file, level, message, installed] of [
  [proprietary('535.104.05'), 'info', 'Nvidia driver', '535.104.05'],
  [proprietary(NEEDED_DRIVER), 'info', 'Nvidia driver', NEEDED_DRIVER],
  [open('1000.1'), 'info', 'Nvidia driver', '1000.1'],
  [proprietary('520.56'), 'warn', 'Nvidia driver is too old to encode: update it', '520.56'],
  [proprietary('470.256.02'), 'warn', 'Nvidia driver is too old to encode: update it', '470.256.02'],
  ['', 'warn', 'found no Nvidia driver', null],
] as const)
  test(`the log names the driver that is there, ${installed}, and the one that is needed`, () => {
    const lines: string[] = []
    tellDriver(openLog({ level: 'info', write: (line) => lines.push(line) }), driverFile(file))
    assert.equal(lines.length, 1)
    const told = JSON.parse(lines[0]!)
    assert.deepEqual(
      [told.level, told.msg, told.installed, told.neededToEncode],
      [level, message, installed, NEEDED_DRIVER],
    )
  })

test('the driver named is the one that FFmpeg itself asks for', (t) => {
  const library = nativeLibrary()
  if (library === null) return t.skip('no native library of FFmpeg for this platform')
  // FFmpeg prints the version from a text of its own, which ends with a zero byte.
  const text = readFileSync(library)
  assert.ok(text.includes('The minimum required Nvidia driver for nvenc is %s or newer'))
  assert.ok(text.includes(`\0${NEEDED_DRIVER}\0`))
})

function nativeLibrary(): string | null {
  const { resolve } = createRequire(import.meta.resolve('node-av/lib'))
  try {
    const file = resolve(`@seydx/node-av-${process.platform}-${process.arch}/node-av.node`)
    return existsSync(file) ? file : null
  } catch {
    return null
  }
}

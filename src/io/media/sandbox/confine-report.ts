/** Runs inside the walls like a worker, seals itself like one, and prints which walls stand. */
import { writeSync } from 'node:fs'
import { messageOf } from '../../../lib/errors.ts'
import type { SealOrder, WallReport } from './confinement.ts'
import { seal } from './seal.ts'

const found = JSON.parse(process.argv[2]!) as WallReport
const sealOrder = JSON.parse(process.argv[3]!) as SealOrder
let report = found
if (sealOrder) {
  try {
    seal({ ...sealOrder, allowsExecution: false })
  } catch (error) {
    report = { ...found, seccomp: messageOf(error) }
  }
}
writeSync(1, JSON.stringify(report))

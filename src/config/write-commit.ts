import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { COMMIT_FILE, commitOf } from './commit.ts'
import { readTextFile } from './files.ts'

/** Run by npm before it packs this package: notes the commit, since a package has no `.git`. */

const folder = fileURLToPath(new URL('../../', import.meta.url))
const commit = commitOf(folder, readTextFile)
if (commit !== null) writeFileSync(`${folder}${COMMIT_FILE}`, `${commit}\n`)

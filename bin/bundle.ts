import { makeBundle } from './make-bundle.ts'
import { BUNDLED_PROGRAMS } from './programs.ts'

/** Makes `dist/`, which `bin/livepeer` runs while no source is newer. */

const programs = Object.fromEntries(BUNDLED_PROGRAMS.map((path) => [path.replace(/\.ts$/, ''), path]))
await makeBundle({ folder: 'dist', programs, pages: { console: 'console' } })

import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { flagsPage } from './help.ts'
import { manPage } from './man-page.ts'

// Writes docs/flags.md and docs/livepeer.1 from the table.
const path = (name: string) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url))
writeFileSync(path('flags.md'), flagsPage())
writeFileSync(path('livepeer.1'), manPage())

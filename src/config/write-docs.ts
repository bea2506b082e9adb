import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { flagsPage } from './help.ts'
import { manPage, wizardManPage } from './man-page.ts'

// Writes docs/flags.md and the manual pages from the tables.
const path = (name: string) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url))
writeFileSync(path('flags.md'), flagsPage())
writeFileSync(path('livepeer.1'), manPage())
writeFileSync(path('livepeer_cli.1'), wizardManPage())

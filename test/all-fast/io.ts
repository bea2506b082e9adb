import { importAll } from './import-all.ts'

await importAll('io')

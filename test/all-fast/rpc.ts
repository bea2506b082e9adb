import { importAll } from './import-all.ts'

await importAll('rpc')

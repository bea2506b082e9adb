import { googleBucket, parseStoreAddress, type StoreAddress } from '../domain/store-address.ts'
import { messageOf } from '../lib/errors.ts'
import { environmentName } from './load-flags.ts'
import { type Reading, refusal } from './reading.ts'

/** Reads where files are saved; null for nowhere. Throws SettingsError, whose text shows no key. */
export function readObjectStore(reading: Reading, name: 'objectStore' | 'recordStore'): StoreAddress | null {
  const text = reading.flags[name].trim()
  if (text === '') return null
  const spelled = reading.spelled(name)
  const content = text.includes('://') ? null : reading.file(text)
  const address = read(spelled, () => parseStoreAddress((content ?? text).trim()))
  if (content === null && address.place.kind === 's3' && spelled.startsWith('-')) {
    reading.warnings.push(
      `${spelled} is given as text on the command line, which every user of this machine can read: write it to a file and give its path, or set ${environmentName(name)}`,
    )
  }
  return address
}

/** Reads where an orchestrator saves results; null for nowhere. Throws SettingsError, also for a folder. */
export function readBucket(reading: Reading): StoreAddress | null {
  const address = readObjectStore(reading, 'objectStore')
  if (address?.place.kind !== 'folder') return address
  throw refusal(
    `${reading.spelled('objectStore')} of an orchestrator is a bucket, since gateways fetch results there: give s3://KEY:SECRET@REGION/BUCKET, s3+https://KEY:SECRET@HOST/BUCKET or gs://BUCKET?keyfile=FILE, or leave it out`,
  )
}

/** Reads where segments that failed fast verification are saved; null for nowhere. Throws SettingsError. */
export function readFailedSegments(reading: Reading): StoreAddress | null {
  const { FVfailGsbucket: bucket, FVfailGskey: key } = reading.flags
  if (bucket !== '') return read(reading.spelled('FVfailGsbucket'), () => googleBucket(bucket, key))
  if (key !== '')
    reading.warnings.push(`${reading.spelled('FVfailGskey')} has no effect without -FVfailGsbucket`)
  return null
}

function read(spelled: string, parse: () => StoreAddress): StoreAddress {
  try {
    return parse()
  } catch (error) {
    throw refusal(`${spelled} ${messageOf(error)}`)
  }
}

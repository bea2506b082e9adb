import { createHash } from 'node:crypto'
import { type FileHandle, open, rename } from 'node:fs/promises'
import { diskFault } from '../../lib/disk-fault.ts'
import { messageOf } from '../../lib/errors.ts'
import { StoreError } from './database.ts'
import { syncFolderOf } from './sync-folder.ts'

/** A minute of payments of a thousand streams takes a quarter of it. */
const MAX_BYTES = 256 * 1024 * 1024
/** Hexadecimal digits of a record's checksum. */
const SUM_LENGTH = 16

/** What was found in a journal when it was opened. */
export interface JournalContent {
  /** The texts in the order in which they were written. */
  readonly records: readonly string[]
  /** Lines that are no records, before the last one; the file is then kept beside it as `….damaged`. */
  readonly damaged: number
}

/**
 * A file of texts that survive a crash of the machine: what must be on disk while the database is away. A record is a line
 * with its checksum. One that a crash cut off was never acknowledged, and is dropped.
 */
export class Journal {
  readonly #path: string
  readonly #maxBytes: number
  #file: FileHandle
  /** Bytes of the records that stay when it is emptied. */
  #kept = 0
  #bytes: number
  #records: number
  #waiting: { line: Buffer; resolve(): void; reject(error: unknown): void }[] = []
  #writing: Promise<void> | null = null

  private constructor(path: string, file: FileHandle, kept: Kept, maxBytes: number) {
    this.#path = path
    this.#file = file
    this.#bytes = kept.bytes
    this.#records = kept.records
    this.#maxBytes = maxBytes
  }

  /** Opens or creates the file, for its owner only, and reads what is in it. Throws StoreError `store-unwritable`. */
  static async open(
    path: string,
    { maxBytes = MAX_BYTES }: { maxBytes?: number } = {},
  ): Promise<{ journal: Journal; content: JournalContent }> {
    try {
      const { bytes, content } = await readAndRepair(path)
      const kept = { bytes, records: content.records.length }
      const file = await open(path, 'a', 0o600)
      await syncFolderOf(path)
      return { journal: new Journal(path, file, kept, maxBytes), content }
    } catch (error) {
      throw unwritable(path, error)
    }
  }

  /**
   * Keeps only these of the records that were found in it, for good: it then counts as empty, and emptying it leaves them.
   * Before anything is added. Throws StoreError `store-unwritable`.
   */
  async keep(records: readonly string[]): Promise<void> {
    try {
      if (records.length < this.#records) {
        await replaced(this.#path, records)
        await this.#file.close()
        this.#file = await open(this.#path, 'a', 0o600)
      }
      this.#bytes = this.#kept = Buffer.byteLength(textOf(records))
      this.#records = 0
    } catch (error) {
      throw unwritable(this.#path, error)
    }
  }

  /** The number of records in it that may be removed. */
  get records(): number {
    return this.#records
  }

  /**
   * Adds a text without line breaks; resolves once it is on disk. Texts of the same moment share a sync. Throws StoreError
   * `store-unwritable` when the disk or the limit of the file does not allow it; nothing was added then.
   */
  append(text: string): Promise<void> {
    if (text.includes('\n')) throw new TypeError('a record of a journal is one line')
    const line = Buffer.from(`${sumOf(text)} ${text}\n`)
    return new Promise<void>((resolve, reject) => {
      this.#waiting.push({ line, resolve, reject })
      this.#writing ??= this.#writeAll()
    })
  }

  /**
   * Empties the file if it has this many records; resolves once that is on disk, with whether it did. What is added
   * meanwhile stays.
   */
  async clear(records: number): Promise<boolean> {
    await this.#writing
    if (this.#writing || this.#waiting.length > 0 || this.#records !== records) return false
    this.#writing = this.#empty().then(() => this.#writeAll())
    await this.#writing
    return true
  }

  /** Finishes what is being added and closes the file. */
  async close(): Promise<void> {
    await this.#writing
    await this.#file.close()
  }

  async #empty(): Promise<void> {
    try {
      await this.#file.truncate(this.#kept)
      await this.#file.datasync()
      this.#bytes = this.#kept
      this.#records = 0
    } catch (error) {
      this.#writing = null
      throw unwritable(this.#path, error)
    }
  }

  async #writeAll(): Promise<void> {
    // What is added in this turn shares the first sync.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#waiting.length > 0) {
      const some = this.#waiting
      this.#waiting = []
      const lines = Buffer.concat(some.map(({ line }) => line))
      try {
        if (this.#bytes + lines.length > this.#maxBytes)
          throw new Error(`it has ${this.#bytes} bytes already`)
        await this.#write(lines)
        this.#records += some.length
        for (const { resolve } of some) resolve()
      } catch (error) {
        for (const { reject } of some) reject(unwritable(this.#path, error))
      }
    }
    this.#writing = null
  }

  /** A part that was written before an error would make the next record unreadable, so it is taken back. */
  async #write(lines: Buffer): Promise<void> {
    try {
      await this.#file.writeFile(lines)
      await this.#file.datasync()
      this.#bytes += lines.length
    } catch (error) {
      await this.#file.truncate(this.#bytes)
      throw error
    }
  }
}

/** What is in a file from the start on. */
interface Kept {
  readonly bytes: number
  readonly records: number
}

/** Reads the records; cuts off an unfinished last line, and keeps a copy of a file that is damaged elsewhere. */
async function readAndRepair(path: string): Promise<{ content: JournalContent; bytes: number }> {
  const file = await open(path, 'a+', 0o600)
  try {
    const read = await file.readFile()
    const end = read.lastIndexOf(0x0a) + 1
    const lines = read.subarray(0, end).toString('utf8').split('\n').slice(0, -1)
    const records = lines.flatMap((line) => {
      const text = line.slice(SUM_LENGTH + 1)
      return line[SUM_LENGTH] === ' ' && line.slice(0, SUM_LENGTH) === sumOf(text) ? [text] : []
    })
    const damaged = lines.length - records.length
    if (damaged > 0) {
      await rewritten(path, records)
      return { content: { records, damaged }, bytes: Buffer.byteLength(textOf(records)) }
    }
    if (end < read.length) {
      await file.truncate(end)
      await file.datasync()
    }
    return { content: { records, damaged }, bytes: end }
  } finally {
    await file.close()
  }
}

async function rewritten(path: string, records: readonly string[]): Promise<void> {
  await writeBeside(path, records)
  await rename(path, `${path}.damaged`)
  await rename(`${path}.new`, path)
}

async function replaced(path: string, records: readonly string[]): Promise<void> {
  await writeBeside(path, records)
  await rename(`${path}.new`, path)
  await syncFolderOf(path)
}

async function writeBeside(path: string, records: readonly string[]): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600)
  try {
    await file.writeFile(textOf(records))
    await file.sync()
  } finally {
    await file.close()
  }
}

function textOf(records: readonly string[]): string {
  return records.map((text) => `${sumOf(text)} ${text}\n`).join('')
}

function sumOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, SUM_LENGTH)
}

function unwritable(path: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error
  const why = diskFault(error) ?? messageOf(error)
  return new StoreError(
    'store-unwritable',
    `the journal ${path} cannot be used, ${why}: fix that, or give the node another -dataDir`,
    { cause: error },
  )
}

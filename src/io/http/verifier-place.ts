/** Files of one result, as the verifier finds them; they are removed with this. */
export interface VerifierFiles extends AsyncDisposable {
  readonly source: string
  readonly renditions: readonly string[]
}

/** Where the verifier finds the files of the results that it judges. */
export interface VerifierPlace {
  /** Throws NodeError where no file could ever be written. */
  open(): Promise<void>
  /** Writes a source and its renditions. Rejects where that fails, or with AbortError once the signal is aborted. */
  write(
    source: Uint8Array,
    renditions: readonly { readonly name: string; readonly bytes: Uint8Array }[],
    signal: AbortSignal,
  ): Promise<VerifierFiles>
}

/** The name of a source among the files of its result; no rendition has it. */
export const SOURCE_FILE = 'source'

/** A name for the files of one result, which nobody can guess: 8 random bytes. */
export function ownName(random: Uint8Array): string {
  return `livepeer-${Buffer.from(random).toString('hex')}`
}

/** Where bytes lie until others fetch them: in this process, or in a store that serves them by itself. */
export interface ObjectStore {
  /**
   * Keeps bytes under a path and gives the URL at which others fetch them; a file of that path is replaced and counts as
   * new. Throws when they cannot be kept.
   */
  put(path: string, bytes: Uint8Array): Promise<string>
  /** The bytes under a path; null where there are none, or none any more. */
  get(path: string): Promise<Uint8Array | null>
  /** Forgets one file. */
  remove(path: string): Promise<void>
  /** Forgets all files under a prefix that ends with a slash: a directory, and those in it. */
  drop(prefix: string): Promise<void>
}

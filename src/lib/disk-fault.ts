/** Texts for file system error codes, as the rest of a sentence. */
const FAULTS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the user’s disk quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'this user may not access it',
  EPERM: 'this user may not access it',
  ENOTDIR: 'there is a file where a folder should be',
  EEXIST: 'there is a file where a folder should be',
  EISDIR: 'there is a folder where a file should be',
  EIO: 'the disk has an I/O error',
  EMFILE: 'this process has too many files open',
  ENFILE: 'the system has too many files open',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'its symbolic links form a loop',
}

/** Why a file or folder cannot be used, as the rest of a sentence; null for errors of other kinds. */
export function diskFault(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && Object.hasOwn(FAULTS, code) ? FAULTS[code]! : null
}

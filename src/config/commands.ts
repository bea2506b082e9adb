/** A command of the program beside running a node. */
export interface Command {
  readonly name: string
  /** What follows the name. */
  readonly takes: string
  readonly about: string
}

/** Every command of `livepeer`, for its help, its manual page and what shells complete. */
export const COMMANDS: readonly Command[] = [
  { name: 'status', takes: '[HOST:PORT ...]', about: 'shows the state of nodes' },
  {
    name: 'config check',
    takes: 'FLAGS',
    about: 'says what a node with these flags would be, and what it lacks',
  },
  {
    name: 'explain',
    takes: 'CODE|TEXT',
    about: 'says what a problem or a refusal means, and what to change',
  },
  { name: 'drain', takes: 'NODE', about: 'takes a node out of work' },
  { name: 'undrain', takes: 'NODE', about: 'gives a drained node work again' },
  { name: 'certs', takes: 'DIR NODE ...', about: 'makes certificates for -certs' },
  { name: 'store copy', takes: 'FROM TO', about: 'moves a store to another database' },
  { name: 'completion', takes: 'bash|zsh|fish', about: 'prints what completes this program in a shell' },
]

const ROLE_NAMES: readonly (readonly [role: string, name: string])[] = [
  ['orchestrator', 'orchestrator'],
  ['gateway', 'gateway'],
  ['redeemer', 'redeemer'],
  ['transcoder', 'transcoder'],
  ['reward', 'reward service'],
  ['roundInitializer', 'round initialiser'],
]

/** What a node of these roles is called: its first role; a reward service may initialise rounds too. */
export function roleName(roles: readonly string[]): string {
  const names = ROLE_NAMES.filter(([role]) => roles.includes(role)).map(([, name]) => name)
  const [first = 'node', second] = names
  // Neither of the two says that the node does the other's work as well.
  const isBoth = first === 'reward service' && second !== undefined
  return isBoth ? `${first} and ${second}` : first
}

/** Whether a text names a socket file, such as `/run/geth.ipc`, `./geth.ipc` or `geth.ipc`, rather than a URL. */
export function isSocketPath(text: string): boolean {
  return /^\.{0,2}\//.test(text) || /^[\w.-]+(\/[\w.-]+)*\.ipc$/.test(text)
}

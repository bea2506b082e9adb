/** A client that plays a stream. */
export interface Player {
  sendMedia(kind: 'audio' | 'video' | 'metadata', timestamp: number, payload: Uint8Array): void
  stopPlaying(): void
}

/** The first byte of a key frame's message, and of any message of H.264 or AAC that has parameters. */
const KEY = 0x10
const ENHANCED = 0x80

/**
 * Hands the messages of one publisher on to its players. A player that joins gets what it needs to decode, and frames
 * from the next key frame on.
 */
export class MediaHub {
  readonly #players = new Map<Player, { hasKey: boolean }>()
  #metadata: Uint8Array | null = null
  #config: { audio: Uint8Array | null; video: Uint8Array | null } = { audio: null, video: null }

  /** Adds a player. */
  join(player: Player): void {
    const { audio, video } = this.#config
    if (this.#metadata) player.sendMedia('metadata', 0, this.#metadata)
    if (video) player.sendMedia('video', 0, video)
    if (audio) player.sendMedia('audio', 0, audio)
    this.#players.set(player, { hasKey: video === null })
  }

  /** Removes a player. */
  leave(player: Player): void {
    this.#players.delete(player)
  }

  /** Takes a message of metadata. */
  metadata(payload: Uint8Array): void {
    this.#metadata = payload
    for (const player of this.#players.keys()) player.sendMedia('metadata', 0, payload)
  }

  /** Takes a message of sound or pictures. */
  media(kind: 'audio' | 'video', timestamp: number, payload: Uint8Array): void {
    const first = payload[0] ?? 0
    const isConfig = (kind === 'video' || first >> 4 === 10) && first < ENHANCED && payload[1] === 0
    if (isConfig) this.#config[kind] = payload
    const isKey = kind === 'video' && (first & 0x70) === KEY && !isConfig
    for (const [player, state] of [...this.#players]) {
      state.hasKey ||= isKey
      if (state.hasKey || isConfig) player.sendMedia(kind, timestamp, payload)
    }
  }

  /** Tells every player that the stream is over. */
  end(): void {
    for (const player of [...this.#players.keys()]) player.stopPlaying()
    this.#players.clear()
  }
}

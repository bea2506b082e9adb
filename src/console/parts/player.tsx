import type Hls from 'hls.js/light'
import { useEffect, useRef, useState } from 'preact/hooks'
import { renditionIn } from '../models/streams.ts'

/** Plays a stream, in the rendition that suits the connection or the one that is chosen. */
export function Player({ name, playlist }: { readonly name: string; readonly playlist: string }) {
  const video = useRef<HTMLVideoElement>(null)
  const player = useRef<Hls | null>(null)
  const [levels, setLevels] = useState<readonly string[]>([])
  const [fault, setFault] = useState('')
  useEffect(() => {
    let isGone = false
    const begin = async () => {
      const { default: Player } = await import('hls.js/light')
      const screen = video.current
      if (isGone || !screen) return
      if (!Player.isSupported()) {
        screen.src = playlist
        return
      }
      // A worker would be made of text, which the page's policy forbids.
      const hls = new Player({ enableWorker: false })
      player.current = hls
      hls.on(Player.Events.MANIFEST_PARSED, () =>
        setLevels(hls.levels.map(({ url }) => renditionIn(url[0] ?? ''))),
      )
      hls.on(Player.Events.ERROR, (_, { details, fatal }) => {
        if (fatal) setFault(`it cannot be played (${details})`)
      })
      hls.loadSource(playlist)
      hls.attachMedia(screen)
    }
    begin().catch((error) => setFault(`it cannot be played (${error})`))
    return () => {
      isGone = true
      player.current?.destroy()
      player.current = null
    }
  }, [playlist])
  return (
    <section class="player" aria-label={`Playback of ${name}`}>
      <video ref={video} controls muted autoPlay playsInline aria-label={name} />
      <label>
        Rendition{' '}
        <select
          onChange={({ currentTarget }) => {
            if (player.current) player.current.currentLevel = Number(currentTarget.value)
          }}
        >
          <option value="-1">automatic</option>
          {levels.map((level, index) => (
            <option key={level} value={index}>
              {level}
            </option>
          ))}
        </select>
      </label>
      <p class="fault" role="alert">
        {fault}
      </p>
    </section>
  )
}

import { type Chapter, emptyChapter, operatorChapters, workChapters } from '../../commands/status/screen.ts'
import { cardsOf } from '../models/cards.ts'
import { feed, seen } from '../state.ts'

/** What an operator looks at first. */
export function Overview() {
  const node = seen.value!
  return (
    <>
      <dl class="cards">
        {cardsOf(node).map(({ detail, figure, title }) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd>
              <strong>{figure}</strong> <span>{detail}</span>
            </dd>
          </div>
        ))}
      </dl>
      <div class="columns">
        {[...workChapters([node]), ...operatorChapters([node])].map((chapter) => (
          <ChapterPart key={chapter.title} chapter={chapter} />
        ))}
      </div>
      <Feed />
    </>
  )
}

function ChapterPart({ chapter: { lines, title } }: { readonly chapter: Chapter }) {
  return (
    <section class="chapter">
      <h3>{title}</h3>
      {lines.length === 0 ? (
        <p class="empty">{emptyChapter(title)}</p>
      ) : (
        lines.map(([depth, text]) => (
          <p key={text} class={`depth${depth}`}>
            {text}
          </p>
        ))
      )}
    </section>
  )
}

function Feed() {
  const lines = feed.value
  return (
    <section class="chapter">
      <h3>What happened lately</h3>
      {lines.length === 0 ? (
        <p class="empty">nothing yet</p>
      ) : (
        <ol class="feed">
          {lines.map(({ atMs, text, tone }, index) => (
            <li key={lines.length - index} class={tone}>
              <time>{new Date(atMs).toLocaleTimeString()}</time> {text}
            </li>
          ))}
        </ol>
      )}
    </section>
  )
}

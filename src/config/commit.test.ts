import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commitOf } from './commit.ts'
import { loadSettings } from './load-settings.ts'

const COMMIT = '0123456789abcdef0123456789abcdef01234567'
const OTHER = 'f'.repeat(40)
const SHOWN = '0123456789ab'

const folders: [what: string, files: Record<string, string>, commit: string | null][] = [
  ['a branch', { '.git/HEAD': 'ref: refs/heads/main\n', '.git/refs/heads/main': `${COMMIT}\n` }, SHOWN],
  [
    'a packed branch',
    {
      '.git/HEAD': 'ref: refs/heads/a/b',
      '.git/packed-refs': `# pack-refs\n${OTHER} refs/heads/b\n${COMMIT} refs/heads/a/b\n^${OTHER}\n`,
    },
    SHOWN,
  ],
  ['a checked-out commit', { '.git/HEAD': COMMIT }, SHOWN],
  [
    'a worktree',
    {
      '.git': 'gitdir: /main/.git/worktrees/log\n',
      '/main/.git/worktrees/log/HEAD': 'ref: refs/heads/log\n',
      '/main/.git/worktrees/log/commondir': '../..\n',
      '/main/.git/refs/heads/log': COMMIT,
    },
    SHOWN,
  ],
  ['a package', { 'commit.txt': `${COMMIT}\n` }, SHOWN],
  ['a repository in which a package was made', { '.git/HEAD': COMMIT, 'commit.txt': OTHER }, SHOWN],
  ['a branch without a commit', { '.git/HEAD': 'ref: refs/heads/main' }, null],
  ['a branch outside the repository', { '.git/HEAD': 'ref: refs/../../secret', secret: COMMIT }, null],
  ['refs kept in another form', { '.git/HEAD': 'ref: refs/heads/.invalid' }, null],
  ['a damaged repository', { '.git/HEAD': 'what?' }, null],
  ['neither', {}, null],
]
for (const [what, files, commit] of folders) {
  test(`the commit of a folder with ${what} is ${commit ?? 'not known'}`, () => {
    const at = new Map(
      Object.entries(files).map(([path, text]) => [path.replace(/^(?!\/)/, '/home/it/'), text]),
    )
    assert.equal(
      commitOf('/home/it', (path) => at.get(path) ?? null),
      commit,
    )
  })
}

const versions: [commit: string | null, line: string][] = [
  [SHOWN, `livepeer-ts 1.2.3 (commit ${SHOWN})\nNode.js v24\nlinux x64\n`],
  [null, 'livepeer-ts 1.2.3\nNode.js v24\nlinux x64\n'],
]
for (const [commit, stdout] of versions) {
  test(`-version prints ${commit === null ? 'no commit where none is known' : 'the commit'}`, () => {
    const about = { version: '1.2.3', commit, runtime: 'v24', arch: 'x64', platform: 'linux' }
    const loaded = loadSettings({
      argv: ['-version'],
      variables: {},
      readText: () => null,
      homeDir: null,
      about,
    })
    assert.deepEqual(loaded, { exit: { code: 0, stdout, stderr: '' } })
  })
}

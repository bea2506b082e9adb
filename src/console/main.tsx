import './no-code.ts'
import './console.css'
import { render } from 'preact'
import { App } from './parts/app.tsx'
import { follow } from './state.ts'

render(<App />, document.getElementById('console')!)
follow()

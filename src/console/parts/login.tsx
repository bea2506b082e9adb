import { useState } from 'preact/hooks'
import { logIn } from '../state.ts'

/** Asks for the token, once. */
export function Login() {
  const [fault, setFault] = useState('')
  const [isBusy, setBusy] = useState(false)
  const submit = async (form: HTMLFormElement) => {
    const token = String(new FormData(form).get('token') ?? '').trim()
    setBusy(true)
    setFault((await logIn(token)) ?? '')
    setBusy(false)
  }
  return (
    <main class="waits">
      <h1>
        <span class="brand">Livepeer</span> {location.host}
      </h1>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void submit(event.currentTarget)
        }}
      >
        <label for="token">The token of this node (-cliToken)</label>
        <input
          {...{ id: 'token', name: 'token', type: 'password', autocomplete: 'current-password' }}
          required
          aria-describedby="fault"
        />
        <button type="submit" disabled={isBusy}>
          Open the console
        </button>
        <p id="fault" class="fault" role="alert">
          {fault}
        </p>
      </form>
    </main>
  )
}

import * as z from 'zod'

// The page's policy lets no text become code. Schemas would otherwise try to write some when they are made: this comes first.
z.config({ jitless: true })

/** What is used of Google's library, in a module of its own, so that it is loaded only where such a store is used. */
export { GoogleAuth, JWT } from 'google-auth-library'

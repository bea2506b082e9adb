declare module '*.css'

/** The smaller build of the same library, which comes without types of its own. */
declare module 'hls.js/light' {
  import Hls from 'hls.js'
  export default Hls
}

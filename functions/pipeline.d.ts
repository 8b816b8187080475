/** The user's pipeline file: the bundler puts it in the place of this name. */
declare module 'millrace:pipeline' {
  const app: import('../runtime/api/pipeline.ts').Pipeline
  export default app
}

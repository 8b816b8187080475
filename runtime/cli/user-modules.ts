import { readFileSync } from 'node:fs'
import { createRequire, registerHooks, stripTypeScriptTypes } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { compileFunction } from 'node:vm'

/** Not import.meta.resolve: tsx, which runs the apps that `cdk init` makes, turns this package into CommonJS and leaves that out. */
const { resolve: pathOf } = createRequire(import.meta.url)

/**
 * Two things that make a pipeline file run wherever it lies, installed now for all that is imported from here on:
 *
 * - `millrace` is the package that this command belongs to, whatever is installed where the file lies: the operators that a file declares and the engine that runs them are
 *   of one piece.
 * - A file written with `import` and `export` is a module, even if its package.json says "type": "commonjs", as `npm init` has it: compilers and bundlers
 *   take it for one too, and Node alone would refuse it.
 */
export function registerUserModules(): void {
  registerHooks({
    resolve(specifier, context, next) {
      // From here it is already the one.
      if (!/^millrace($|\/)/.test(specifier) || context.parentURL === import.meta.url) return next(specifier, context)
      return { url: pathToFileURL(pathOf(specifier)).href, shortCircuit: true }
    },
    load(url, context, next) {
      const format = MODULE_FORMAT[context.format ?? '']
      if (format === undefined || !url.startsWith('file:') || url.includes('/node_modules/')) return next(url, context)
      return next(url, hasModuleSyntax(url, format) ? { ...context, format } : context)
    },
  })
}

const MODULE_FORMAT: Readonly<Record<string, string>> = { commonjs: 'module', 'commonjs-typescript': 'module-typescript' }

/** What V8 says of the statements that only modules have; Node looks for the same words where no "type" is given. */
const MODULE_SYNTAX =
  /^(Cannot use import statement outside a module|Unexpected token 'export'|Cannot use 'import\.meta' outside a module)/

/** In whatever thread: Node would warn that its own function is an experiment. */
function withoutTypes(source: string): string {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return stripTypeScriptTypes(source)
  } finally {
    process.emitWarning = emitWarning
  }
}

function hasModuleSyntax(url: string, format: string): boolean {
  try {
    const source = readFileSync(fileURLToPath(url), 'utf8')
    compileFunction(format === 'module' ? source : withoutTypes(source), ['exports', 'require', 'module'])
    return false
  } catch (error) {
    // Whatever else is wrong with the file is told when it is loaded.
    return error instanceof SyntaxError && MODULE_SYNTAX.test(error.message)
  }
}

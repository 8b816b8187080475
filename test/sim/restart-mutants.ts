// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts are parts of source files
import { at, type Mutant } from './mutant.ts'

const restoreRun = at('runtime/aws/functions/restore-run.ts')
const environment = at('runtime/aws/functions/environment.ts')
const join = at('runtime/aws/functions/join-source.ts')
const staging = at('runtime/connectors/blob-staging.ts')

/** Of a run whose place another takes, while its functions are under way (protocol.md, B(1) and D8). */
export const RESTARTS: readonly Mutant[] = [
  restoreRun('D8: the logs of a run that is replaced are not fenced', '  await fenceRun(ports.log, old)\n', ''),
  restoreRun(
    'D8: the next checkpoint of a run that is replaced may still be decided',
    'await supersede(ports.log, old.run, ports.clock.now(), `the stack started from ${what}`)\n',
    '',
  ),
  at('runtime/protocol/log.ts')(
    'D8: a fenced log is taken for one whose floor moves',
    'if (floor === FENCED)',
    'if (floor > FENCED)',
  ),
  at('runtime/aws/functions/own-run.ts')(
    'D8: a step of another run is taken for one of the run that there is',
    'if (run?.topology.run === expected) return run',
    'if (run !== undefined) return run',
  ),
  environment(
    'D8: an environment does not hear that its run has been replaced',
    'return known !== undefined && (await readRun(ports))?.run !== known.meta.run',
    'return known === null && (await readRun(ports))?.run !== known!.meta.run',
  ),
  at('runtime/aws/functions/tasks.ts')(
    'D8: an environment goes on with what it has of the run before',
    'if (run === topology.run) return',
    'if (run !== undefined) return',
  ),
  at('runtime/aws/functions/joined.ts')(
    'D8: a source takes what its mapping brings before it has read on from the checkpoint',
    'return meta.origin === undefined || (await',
    'return meta.origin !== null || (await',
  ),
  join('D8: a source says that it has read on, and has not', '      await readOn(environment, run, at, tasks, subtask)\n', ''),
  staging(
    'D8: what was shown behind the checkpoint stays',
    'if (Number(key.slice(prefix.length, prefix.length + DIGITS)) > checkpoint) await',
    'if (Number(key.slice(prefix.length, prefix.length + DIGITS)) < 0) await',
  ),
]

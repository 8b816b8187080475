import type { Pipeline } from '../../api/pipeline.ts'
import { awsBacking } from './aws-backing.ts'
import { type Environment, openEnvironment } from './environment.ts'
import { readSettings } from './settings.ts'

/** The environment of a function on AWS, as its stack describes it. */
export function awsEnvironment(app: Pipeline, env = process.env): Environment {
  const settings = readSettings(env)
  return openEnvironment(app, settings, deadline => awsBacking(settings, deadline))
}

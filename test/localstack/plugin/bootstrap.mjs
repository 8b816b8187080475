// Runs the stock aws-lambda-ric with a pure-JS stand-in for its native rapid-client.node (no C++ build).

import { execFileSync } from 'node:child_process'
import http from 'node:http'
import Module from 'node:module'

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':')
const agent = new http.Agent({ keepAlive: true })
const url = (id, what) => `/2018-06-01/runtime/invocation/${id}/${what}`
const client = {
  initializeClient() {},
  done(id, body) {
    const r = http.request(
      { host, port, agent, method: 'POST', path: url(id, 'response'), headers: { 'Content-Length': Buffer.byteLength(body) } },
      x => x.resume(),
    )
    r.on('error', e => {
      console.error(e)
      process.exit(1)
    }).end(body)
  },
  error(id, body) {
    // must be delivered before returning: the caller may exit the process next
    execFileSync(
      process.execPath,
      [
        '-e',
        `const b=require('fs').readFileSync(0);require('http').request({host:'${host}',port:${port},method:'POST',path:'${url(id, 'error')}',headers:{'Content-Length':b.length}},x=>x.resume()).end(b)`,
      ],
      { input: body, env: {} },
    )
  },
}
const load = Module._load
Module._load = (request, ...rest) => (request.endsWith('/rapid-client.node') ? client : load(request, ...rest))
const { run } = await import(process.env.LS_LAMBDA_RIC_DIST)
await run(process.cwd(), process.argv[2])

#!/usr/bin/env node
// Stands in for Prisma's query-engine executable, for machines that cannot download it.
//
// It takes the flags, environment and HTTP requests that Prisma Client Python gives to that executable, and answers
// them with the same engine as npm's @prisma/client ships it (WebAssembly, speaking JSON instead of GraphQL), over
// Prisma's own driver adapters.

'use strict'

require('node:v8').setFlagsFromString('--liftoff-only') // each engine lives for seconds: optimizing it takes longer

const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')

if (process.argv.includes('--version')) {
  console.log('query-engine 393aa359c9ad4a4bb28630fb5613f9c281cde053')
  process.exit(0)
}

const { bindAdapter } = require('@prisma/driver-adapter-utils')
const { parse } = require('graphql')

const datamodel = fs.readFileSync(process.env.PRISMA_DML_PATH, 'utf8')
const provider = /datasource[^{]*\{[^}]*provider\s*=\s*"(\w+)"/.exec(datamodel)[1]
const url = JSON.parse(process.env.OVERWRITE_DATASOURCES)[0].url
let adapter

// ------------------------------------------------------------------------------------------------- the databases

async function postgresAdapter(url) {
  const { Pool } = require('pg')
  const { PrismaPg } = require('@prisma/adapter-pg')
  const { searchParams } = new URL(url)
  const schema = searchParams.get('schema') ?? 'public'
  const pool = new Pool({
    connectionString: url.split('?')[0],
    max: Number(searchParams.get('connection_limit') ?? 5),
    connectionTimeoutMillis: 1000 * Number(searchParams.get('pool_timeout') ?? 10),
    options: `-c search_path=${schema} -c TimeZone=UTC`, // the adapter drops the offset of what it reads
  })
  pool.on('error', () => {}) // an idle connection that breaks is replaced
  pool.on('connect', (client) => client.on('error', () => {})) // one in use fails its query
  return new PrismaPg(pool, { schema })
}

async function sqliteAdapter(url) {
  const { PrismaLibSQL } = require('@prisma/adapter-libsql')
  const { ok } = require('@prisma/driver-adapter-utils')

  class Adapter extends PrismaLibSQL {
    // The original holds every other call back until the transaction ends. As in the native engine, each transaction
    // has a connection of its own, and takes the write lock at once.
    async startTransaction() {
      const client = await SQLiteClient.open(url)
      const end = async (sql) => {
        try {
          await client.execute({ sql, args: [] })
        } finally {
          client.close()
        }
        return ok(undefined)
      }
      await client.execute({ sql: 'BEGIN IMMEDIATE', args: [] })
      return ok(
        Object.assign(new PrismaLibSQL(client), {
          options: { usePhantomQuery: true },
          commit: () => end('COMMIT'),
          rollback: () => end('ROLLBACK'),
        }),
      )
    }
  }
  return new Adapter(await SQLiteClient.open(url))
}

// What the adapter uses of @libsql/client, over one connection. Where that keeps a DateTime as text, Prisma's native
// engine keeps milliseconds. It waits for locks without blocking the event loop: their holder may live on it.
class SQLiteClient {
  static async open(url) {
    const client = new SQLiteClient(url)
    await client.run('PRAGMA synchronous = OFF', []) // as in every server of the tests
    return client
  }

  constructor(url) {
    const Database = require('libsql')
    this.database = new Database(url.replace(/^(file|sqlite):(\/\/)?/, '').split('?')[0])
  }

  async execute({ sql, args }) {
    const values = args.map((value) => (value instanceof Date ? value.getTime() : value))
    if (this.database.inTransaction || /^\s*(BEGIN|SELECT)\b/i.test(sql)) return this.run(sql, values)
    // A lone INSERT ... RETURNING that cannot commit has begun to give rows.
    await this.run('BEGIN IMMEDIATE', [])
    try {
      return await this.run(sql, values)
    } finally {
      await this.run('COMMIT', [])
    }
  }

  async run(sql, values) {
    let statement
    for (const deadline = Date.now() + 5000; ; ) {
      try {
        statement ??= this.database.prepare(sql) // once: a busy statement keeps its locks until it is run again
        return statement.reader ? read(statement, values) : write(statement, values)
      } catch (error) {
        if (!/database is locked/.test(error.message) || Date.now() > deadline) throw error
        await new Promise((wake) => setTimeout(wake, 2))
      }
    }
  }

  close() {
    this.database.close()
  }
}

function read(statement, values) {
  const columns = statement.columns()
  const rows = statement.raw(true).safeIntegers(true).all(values)
  return {
    columns: columns.map((column) => column.name),
    columnTypes: columns.map((column) => column.type ?? ''),
    rows,
    rowsAffected: rows.length,
  }
}

function write(statement, values) {
  return { columns: [], columnTypes: [], rows: [], rowsAffected: statement.run(values).changes }
}

// ---------------------------------------------------------------------------------------------------- the engine

async function startEngine() {
  const runtime = path.dirname(require.resolve('@prisma/client/runtime/library.js'))
  const bindings = require(path.join(runtime, `query_engine_bg.${provider}.js`))
  const code = new WebAssembly.Module(fs.readFileSync(path.join(runtime, `query_engine_bg.${provider}.wasm`)))
  bindings.__wbg_set_wasm(new WebAssembly.Instance(code, { './query_engine_bg.js': bindings }).exports)
  const settings = {
    datamodel,
    env: process.env,
    logLevel: 'error',
    logQueries: Boolean(process.env.LOG_QUERIES),
    ignoreEnvVarErrors: true,
    datasourceOverrides: {},
    configDir: '.',
    engineProtocol: 'json',
  }
  const engine = new bindings.QueryEngine(settings, (line) => process.env.LOG_QUERIES && console.error(line), adapter)
  await engine.connect('{}')
  return engine
}

// ------------------------------------------------------------------------- GraphQL to Prisma's JSON, and back again

const ACTIONS =
  'findUnique findFirst findMany createOne createMany updateOne updateMany upsertOne deleteOne deleteMany ' +
  'aggregate groupBy queryRaw executeRaw'

function request(text) {
  const field = parse(text, { noLocation: true }).definitions[0].selectionSet.selections[0]
  const name = field.name.value
  const action = ACTIONS.split(' ').find((each) => name.startsWith(each))
  return { action, modelName: name.slice(action.length) || undefined, query: node(field) }
}

function node(field) {
  const selected = field.selectionSet?.selections ?? []
  return {
    arguments: Object.fromEntries(field.arguments.map((argument) => [argument.name.value, plain(argument.value)])),
    selection: Object.fromEntries(
      selected.map((inner) => [inner.name.value, inner.selectionSet ? node(inner) : true]),
    ),
  }
}

function plain(value) {
  switch (value.kind) {
    case 'ListValue':
      return value.values.map(plain)
    case 'ObjectValue':
      return Object.fromEntries(value.fields.map(({ name, value }) => [name.value, tagged(name.value, plain(value))]))
    case 'NullValue':
      return null
    case 'IntValue':
    case 'FloatValue':
      return Number(value.value)
    default:
      return value.value
  }
}

// GraphQL has JSON as a string; in Prisma's own protocol that would be a JSON string.
const jsonFields = new Set(Array.from(datamodel.matchAll(/^\s*(\w+)\s+Json\b/gm), (match) => match[1]))

function tagged(name, value) {
  return jsonFields.has(name) && typeof value === 'string' ? { $type: 'Json', value } : value
}

function untagged(value) {
  if (Array.isArray(value)) return value.map(untagged)
  if (value === null || typeof value !== 'object') return value
  if ('$type' in value) return value.value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, untagged(inner)]))
}

// What the driver threw reaches us as a number. These are the codes the native engine has for it.
function connectionError(error) {
  if (error.user_facing_error?.error_code !== 'P2036') return error
  const thrown = adapter.errorRegistry.consumeError(error.user_facing_error.meta.id)?.error
  const message = String(thrown?.message || thrown)
  let code = 'P1017' // the connection was lost
  if (['ECONNREFUSED', 'ENOENT', 'EHOSTUNREACH'].includes(thrown?.code)) code = 'P1001' // no server
  if (/timeout exceeded/.test(message)) code = 'P2024' // no connection free
  if (/database is locked/.test(message)) code = 'P1008' // SQLite is busy
  return { error: message, user_facing_error: { is_panic: false, message, meta: {}, error_code: code } }
}

function answer(text) {
  const { data, errors } = JSON.parse(text)
  if (errors) return { errors: errors.map(connectionError) }
  return { data: { result: untagged(Object.values(data)[0]) } }
}

// ------------------------------------------------------------------------------------------------------ over HTTP

async function respond(engine, { method, url, headers }, body) {
  if (method === 'GET' && url === '/status') return { status: 'ok' }
  if (method === 'POST' && url === '/') {
    const query = JSON.stringify(request(JSON.parse(body).query))
    return answer(await engine.query(query, '{}', headers['x-transaction-id']))
  }
  const [, id, verb] = /^\/transaction\/(?:(.+)\/)?(start|commit|rollback)$/.exec(url)
  if (verb === 'start') {
    const started = JSON.parse(await engine.startTransaction(body, '{}'))
    return started.id ? started : { errors: [connectionError({ user_facing_error: started })] }
  }
  const ended = JSON.parse(await engine[`${verb}Transaction`](id, '{}'))
  return ended.error_code ? { errors: [connectionError({ error: ended.message, user_facing_error: ended })] } : {}
}

async function main() {
  adapter = bindAdapter(await (provider === 'sqlite' ? sqliteAdapter(url) : postgresAdapter(url)))
  const engine = await startEngine()

  const server = http.createServer((incoming, outgoing) => {
    const chunks = []
    incoming.on('data', (chunk) => chunks.push(chunk))
    incoming.on('end', async () => {
      try {
        const body = await respond(engine, incoming, Buffer.concat(chunks).toString('utf8'))
        outgoing.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
      } catch (error) {
        outgoing.writeHead(500).end(String(error.stack ?? error))
      }
    })
  })
  server.keepAliveTimeout = 0 // an idle connection closed by this side could meet a request on its way
  server.listen(Number(process.argv[process.argv.indexOf('-p') + 1]), '127.0.0.1')
}

main()
process.on('SIGINT', () => process.exit(0))

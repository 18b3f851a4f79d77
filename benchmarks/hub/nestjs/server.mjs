// @dudousxd/nestjs-notifications-sse on NestJS with Fastify: `node server.mjs PORT PAYLOAD`.
// Decorators are called by hand, so that it runs without a compiler.
import 'reflect-metadata'
import { Controller, HttpCode, Module, Post, Query, Sse } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { SseChannelModule, SseHub } from '@dudousxd/nestjs-notifications-sse'

const [port, payload] = process.argv.slice(2)
const PAYLOAD = JSON.parse(payload)

class Streams {
  constructor(hub) {
    this.hub = hub
  }
  stream(key) {
    return this.hub.stream(key)
  }
  publish(first, keys, events) {
    for (let key = Number(first); key < Number(first) + Number(keys); key++)
      for (let i = 0; i < Number(events); i++) this.hub.publish(String(key), PAYLOAD, { event: 'notification' })
  }
}

function decorate(name, decorators, queries) {
  const descriptor = Object.getOwnPropertyDescriptor(Streams.prototype, name)
  queries.forEach((query, index) => Query(query)(Streams.prototype, name, index))
  for (const decorator of decorators) decorator(Streams.prototype, name, descriptor)
}

Reflect.defineMetadata('design:paramtypes', [SseHub], Streams)
decorate('stream', [Sse('stream')], ['key'])
decorate('publish', [Post('publish'), HttpCode(204)], ['first', 'keys', 'events'])
Controller()(Streams)

class App {}
Module({ imports: [SseChannelModule.forRoot()], controllers: [Streams] })(App)

const app = await NestFactory.create(App, new FastifyAdapter(), { logger: ['error', 'warn'] })
await app.listen(Number(port), '127.0.0.1')

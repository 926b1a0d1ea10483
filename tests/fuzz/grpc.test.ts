import { type Client, Metadata, status } from '@grpc/grpc-js';
import * as fc from 'fast-check';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT_FOLDER } from '../../scripts/dist/suite.js';
import { connect } from '../helpers/clients.js';
import { knownEmails, longText, text, tryMany } from '../helpers/fuzz.js';
import { MESSAGE_CHAIN, Suite } from '../helpers/suite.js';

const TIMEOUT_MS = 30_000;
/** What a caller's input must never lead to. */
const FAULTS = [status.INTERNAL, status.UNKNOWN, status.DATA_LOSS, status.UNAVAILABLE, status.UNIMPLEMENTED];

let suite: Suite;
let clients: ReturnType<typeof connect>;

beforeAll(async () => {
  suite = await Suite.start({ processes: MESSAGE_CHAIN });
  clients = connect(suite.addresses, suite.redis);
  await suite.waitUntilReady();
  for (const email of knownEmails) {
    await clients.rest
      .users()
      .post('/users')
      .send({ email, password: 'correct horse', name: 'Name' })
      .expect(201);
  }
});

afterAll(async () => {
  clients.close();
  await suite.stop();
});

const root = new protobuf.Root();
root.resolvePath = (_origin, target) =>
  target.startsWith('google/') ? target : join(ROOT_FOLDER, 'proto_definitions', target);
root.loadSync(['user.proto', 'message.proto', 'notification.proto', 'frontend.proto'], { keepCase: true });
root.resolveAll();

/** Bytes of a field's value, tag included. */
function bytesOf(field: protobuf.Field): fc.Arbitrary<Buffer> {
  const { id, type, resolvedType } = field;
  const written = (wireType: number, write: (writer: protobuf.Writer) => protobuf.Writer) =>
    Buffer.from(write(protobuf.Writer.create().uint32((id << 3) | wireType)).finish());
  if (resolvedType instanceof protobuf.Type) {
    return messageOf(resolvedType).map((bytes) => written(2, (writer) => writer.bytes(bytes)));
  }
  switch (type) {
    case 'string':
      return fc
        .oneof(
          { weight: 18, arbitrary: text.map((value) => Buffer.from(value)) },
          { weight: 1, arbitrary: longText.map((value) => Buffer.from(value)) },
          // What is no UTF-8.
          { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)) },
        )
        .map((bytes) => written(2, (writer) => writer.bytes(bytes)));
    case 'bool':
      return fc.boolean().map((value) => written(0, (writer) => writer.bool(value)));
    case 'int32':
      return fc.integer().map((value) => written(0, (writer) => writer.int32(value)));
    case 'uint32':
      return fc.nat().map((value) => written(0, (writer) => writer.uint32(value)));
    default:
      throw new Error(`${field.fullName} is of a type that is not tried yet: ${type}`);
  }
}

/** Bytes of a message: fields that it has, each once, twice or not at all, and others that it does not have. */
function messageOf({ fieldsArray }: protobuf.Type): fc.Arbitrary<Buffer> {
  const unknown = fc.nat({ max: 10_000 }).map((value) =>
    Buffer.from(
      protobuf.Writer.create()
        .uint32(999 << 3)
        .uint32(value)
        .finish(),
    ),
  );
  const known = fieldsArray.map((field) => bytesOf(field));
  const any = fc.array(fc.oneof(unknown, ...known), { maxLength: 2 });
  const most = fc.tuple(...known.map((bytes) => fc.option(bytes, { freq: 8, nil: Buffer.alloc(0) })));
  return fc.tuple(most, any).map(([first, then]) => Buffer.concat([...first, ...then]));
}

const metadataText = fc.string({ maxLength: 100 });
const metadata = fc
  .record(
    { 'x-request-id': metadataText, traceparent: metadataText, authorization: metadataText },
    { requiredKeys: [] },
  )
  .map((entries) => {
    const made = new Metadata();
    for (const [key, value] of Object.entries(entries)) made.set(key, value.trim());
    return made;
  });

const pass = (bytes: Buffer) => bytes;

/** Makes a call of any kind. Resolves to its status, and the answers that it got. */
function call(client: Client, method: protobuf.Method, requests: Buffer[], sent: Metadata) {
  const path = `/${(method.parent?.fullName ?? '').slice(1)}/${method.name}`;
  const options = { deadline: Date.now() + TIMEOUT_MS };
  return new Promise<{ code: status; answers: Buffer[] }>((resolve) => {
    const answers: Buffer[] = [];
    if (method.requestStream) {
      const stream = client.makeBidiStreamRequest(path, pass, pass, sent, options);
      stream.on('data', (answer: Buffer) => answers.push(answer));
      stream.on('error', () => {});
      stream.on('status', ({ code }) => resolve({ code, answers }));
      for (const one of requests) stream.write(one);
      stream.end();
    } else if (method.responseStream) {
      const stream = client.makeServerStreamRequest(
        path,
        pass,
        pass,
        requests[0] ?? Buffer.alloc(0),
        sent,
        options,
      );
      // It is served, and would not end.
      stream.on('metadata', () => stream.cancel());
      stream.on('data', () => {});
      stream.on('error', () => {});
      stream.on('status', ({ code }) => resolve({ code, answers }));
    } else {
      client.makeUnaryRequest(
        path,
        pass,
        pass,
        requests[0] ?? Buffer.alloc(0),
        sent,
        options,
        (error, answer) => resolve({ code: error?.code ?? status.OK, answers: answer ? [answer] : [] }),
      );
    }
  });
}

test.each([
  ['user_service_grpc', 'user_service.UserService'],
  ['message_service_grpc', 'message_service.MessageService'],
  ['notification_service_grpc', 'notification_service.NotificationService'],
  ['frontend_service_grpc', 'frontend_service.FrontendService'],
] as const)(
  '%s answers whatever it is asked, and never blames itself',
  async (name, service) => {
    const questions = root.lookupService(service).methodsArray.map((method) => {
      if (!method.resolvedRequestType) throw new Error(`${method.name} is not resolved`);
      const requests = fc.array(messageOf(method.resolvedRequestType), { minLength: 1, maxLength: 3 });
      return fc.record({ method: fc.constant(method), requests, metadata });
    });
    await tryMany(fc.oneof(...questions), async ({ method, requests, metadata: sent }) => {
      const { code, answers } = await call(clients.channel(name), method, requests, sent);
      expect(
        FAULTS.map((fault) => status[fault]),
        method.name,
      ).not.toContain(status[code]);
      // What failed within an answer bears a code of its own.
      for (const answer of answers) {
        const failures = JSON.stringify(method.resolvedResponseType?.decode(answer).toJSON()).matchAll(
          /"code":(\d+)/g,
        );
        for (const [, inner] of failures) expect(FAULTS, method.name).not.toContain(Number(inner));
      }
    });
    expect(suite.process(name).output).not.toMatch(/"level":"(error|fatal)"/);
  },
  600_000,
);

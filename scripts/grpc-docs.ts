import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import protobuf from 'protobufjs';
import { ROOT_FOLDER, suiteProcesses } from './suite.js';

// Writes docs/grpc.md out of the .proto files and their comments. With --check it writes nothing, and fails where
// the file is not what it would write.

const TARGET = join(ROOT_FOLDER, 'docs', 'grpc.md');
const PROTO_FOLDER = join(ROOT_FOLDER, 'proto_definitions');

/** The services in the order of a request's way. */
const packages = ['user_service', 'message_service', 'notification_service', 'frontend_service'] as const;

const HEAD = `# The gRPC API

<!-- Made from the .proto files by \`npm run docs:grpc\`: change their comments instead. -->

Each service's port also serves \`grpc.health.v1.Health\` and server reflection, so that \`grpcurl -plaintext localhost:9797 list\` and
\`describe\` tell the same. The \`.proto\` files are in [\`proto_definitions/\`](../proto_definitions), and compile one by one. Every field that is not a list
is \`optional\`: one that is left out is unset. What a status means is as everywhere in gRPC; its details say which field is wrong, and
what would be right. A call without a deadline gets one of the service's own; one that is answered with \`UNAVAILABLE\`,
\`RESOURCE_EXHAUSTED\` or \`DEADLINE_EXCEEDED\` may succeed when it is tried again.

Methods with many items at once, and those whose names end in \`Stream\`, are how the services speak to each other.
`;

/** What the examples have in fields of these names. */
const examples: Record<string, unknown> = {
  email: 'alice@example.com',
  emails: ['alice@example.com', 'bob@example.com'],
  user_email: 'alice@example.com',
  sender_email: 'alice@example.com',
  receiver_email: 'bob@example.com',
  with_email: 'bob@example.com',
  password: 'wonderland',
  content: 'Hello, Bob!',
  message_id: '1',
  ids: ['1'],
  page_size: 20,
  to_email: 'alice@example.org',
  departure_id: '2',
  tenure: '1',
};

function loadProtos(): protobuf.Root {
  const root = new protobuf.Root();
  // Those of Google come with protobufjs.
  root.resolvePath = (_origin, target) =>
    target.startsWith('google/') ? target : join(PROTO_FOLDER, target);
  root.loadSync(
    packages.map((name) => `${name.replace(/_service$/, '')}.proto`),
    { keepCase: true, alternateCommentMode: true },
  );
  root.resolveAll();
  return root;
}

function describePackage(name: string, root: protobuf.Root): string {
  const namespace = root.lookup(name);
  if (!(namespace instanceof protobuf.Namespace)) throw new Error(`There is no package ${name}`);
  const port = suiteProcesses.find(({ service, door }) => service === name && door === 'grpc')?.port;
  const services = namespace.nestedArray.filter((nested) => nested instanceof protobuf.Service);
  const messages = namespace.nestedArray.filter((nested) => nested instanceof protobuf.Type);
  return [
    ...services.map((service) => describeService(service, port)),
    `### Messages of \`${name}\``,
    ...messages.map((message) => describeMessage(message)),
  ].join('\n\n');
}

function describeService(service: protobuf.Service, port: number | undefined): string {
  return [
    `## ${service.name}`,
    `${commentOf(service)} \`${nameOf(service)}\`, port ${port}.`,
    ...service.methodsArray.map((method) => describeMethod(method, `localhost:${port}`)),
  ].join('\n\n');
}

function describeMethod(method: protobuf.Method, address: string): string {
  const { name, parent, requestStream, responseStream, resolvedRequestType, resolvedResponseType } = method;
  if (!parent || !resolvedRequestType || !resolvedResponseType) throw new Error(`${name} is not resolved`);
  const request = `${requestStream ? 'stream of ' : ''}${linkTo(resolvedRequestType)}`;
  const response = `${responseStream ? 'stream of ' : ''}${linkTo(resolvedResponseType)}`;
  const fields = exampleOf(resolvedRequestType);
  const data = Object.keys(fields).length === 0 ? '' : `-d '${JSON.stringify(fields)}' `;
  const example = `\`\`\`sh\ngrpcurl -plaintext ${data}${address} ${nameOf(parent)}/${name}\n\`\`\``;
  return [
    `### ${name}`,
    `${request} → ${response}`,
    `${commentOf(method)}${repeatNote(method)}`,
    ...(requestStream ? [] : [example]),
  ].join('\n\n');
}

function repeatNote({ options }: protobuf.Method): string {
  if (options?.['idempotency_level'] === 'NO_SIDE_EFFECTS') return ' *Changes nothing.*';
  return options?.['idempotency_level'] === 'IDEMPOTENT' ? ' *A repeat changes nothing.*' : '';
}

/** Makes a message of the fields that have an example. Those of a message in it are not known to anybody yet: they have no id. */
function exampleOf({ fieldsArray }: protobuf.Type, isInner = false): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const { name, resolvedType, repeated } of fieldsArray) {
    if (isInner && name === 'message_id') continue;
    if (Object.hasOwn(examples, name)) fields[name] = examples[name];
    else if (resolvedType instanceof protobuf.Type) {
      const inner = exampleOf(resolvedType, true);
      fields[name] = repeated ? [inner] : inner;
    }
  }
  return fields;
}

function describeMessage(message: protobuf.Type): string {
  const { fieldsArray } = message;
  const title = `#### ${nameOf(message)}`;
  if (fieldsArray.length === 0) return `${title}\n\nWithout fields.`;
  const rows = fieldsArray.map(
    (field) =>
      `| ${field.id} | \`${field.name}\` | ${typeOf(field)} | ${commentOf(field).replaceAll('|', '\\|')} |`,
  );
  return [title, '', '| # | field | type | what it is |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function typeOf({ resolvedType, type, repeated }: protobuf.Field): string {
  const single = resolvedType instanceof protobuf.Type ? linkTo(resolvedType) : `\`${type}\``;
  return repeated ? `list of ${single}` : single;
}

function linkTo(type: protobuf.Type): string {
  return nameOf(type).startsWith('google.') ? `\`${nameOf(type)}\`` : `[${type.name}](#${anchorOf(type)})`;
}

/** @throws where there is none: every method and field has a comment. */
function commentOf(object: protobuf.ReflectionObject): string {
  if (!object.comment) throw new Error(`${nameOf(object)} has no comment`);
  return object.comment.replaceAll('\n', ' ');
}

function nameOf(object: protobuf.ReflectionObject): string {
  return object.fullName.replace(/^\./, '');
}

/** The anchor that GitHub gives to a heading which is this name. */
function anchorOf(type: protobuf.Type): string {
  return nameOf(type).toLowerCase().replaceAll('.', '');
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
  const root = loadProtos();
  const text = [HEAD, ...packages.map((name) => describePackage(name, root))].join('\n\n');
  const formatted = await format(text, { ...(await resolveConfig(TARGET)), parser: 'markdown' });
  if (!values.check) {
    await writeFile(TARGET, formatted);
  } else if ((await readFile(TARGET, 'utf8')) !== formatted) {
    process.stderr.write('docs/grpc.md is not what the .proto files say: run npm run docs:grpc\n');
    process.exitCode = 1;
  }
}

await main();

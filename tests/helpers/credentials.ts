import { createPrivateKey, type JsonWebKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject } from 'vitest';
import { z } from 'zod';
import type { ProcessName } from './suite.js';
import { TEST_SESSION } from './tokens.js';

const keysFolder = inject('keysFolder');

/** Whether the suite that the tests share asks callers who they are. */
export const asksForTokens = keysFolder !== undefined;

/** What whoever logs in is given besides. */
export const issuedTokens: Record<string, unknown> = asksForTokens
  ? {
      token: expect.any(String),
      expires_at: expect.any(String),
      refresh_token: expect.any(String),
      refresh_expires_at: expect.any(String),
    }
  : {};

/** The methods and routes that no user may call, and the service that may; the others are for whom the request is about. */
const callers = new Map([
  ['/user_service.UserService/CheckUsersExist', 'message_service'],
  ['/user_service.UserService/CheckUsersExistStream', 'message_service'],
  ['/user_service.UserService/ListUsers', 'operator'],
  ['/user_service.UserService/ListUsersPage', 'operator'],
  ['/notification_service.NotificationService/CreateNotification', 'message_service'],
  ['/notification_service.NotificationService/CreateNotifications', 'message_service'],
  ['/notification_service.NotificationService/CreateNotificationsStream', 'message_service'],
  ['/message_service.MessageService/MoveMailbox', 'user_service'],
  ['/message_service.MessageService/EraseMailbox', 'user_service'],
  ['/notification_service.NotificationService/MoveNotifications', 'user_service'],
  ['/notification_service.NotificationService/EraseNotifications', 'user_service'],
  ['/frontend_service.FrontendService/EndWatches', 'notification_service'],
  ['/frontend_service.FrontendService/ReceiveNotification', 'notification_service'],
  ['/frontend_service.FrontendService/ReceiveNotifications', 'notification_service'],
  ['/users', 'operator'],
  ['/metrics', 'operator'],
]);

const email = z.string().transform((text) => text.trim().toLowerCase());
const about = z.union([
  z.object({ message: z.object({ sender_email: email }) }).transform(({ message }) => message.sender_email),
  z.object({ sender_email: email }).transform(({ sender_email }) => sender_email),
  z.object({ user_email: email }).transform(({ user_email }) => user_email),
  z.object({ email }).transform((request) => request.email),
]);

/** What a gRPC call shows of who makes it, where that is asked for. */
export function credentialsFor(path: string, request: unknown): Record<string, string> {
  return asksForTokens ? shown(path.slice(1, path.indexOf('.')), path, request) : {};
}

/** Whoever is entitled to it, by a token that is made here. What does not say whom it is about is asked by the operator. */
function shown(audience: string, path: string, request: unknown): Record<string, string> {
  const service = callers.get(path);
  if (service !== undefined) return bearer(serviceToken(service, audience));
  const owner = about.safeParse(request).data;
  return bearer(owner ? userToken(owner) : serviceToken('operator', audience));
}

/** What a request to a REST door shows, where the path, the query or the body may say whom it is about. */
export function restCredentialsFor(name: ProcessName, url: string, body: unknown): Record<string, string> {
  if (!asksForTokens) return {};
  const { pathname, searchParams } = new URL(url, 'http://door');
  const [, collection, named] = pathname.split('/');
  const isNamed = (collection === 'users' || collection === 'subscriptions') && named && named !== 'email';
  const inPath = isNamed ? { email: decodeUnlessMalformed(named) } : {};
  const inBody = z.record(z.string(), z.unknown()).safeParse(body).data;
  return shown(name.replace('_api', ''), pathname, {
    ...inBody,
    ...Object.fromEntries(searchParams),
    ...inPath,
  });
}

function decodeUnlessMalformed(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}

const keyFile = z.string().transform((text): unknown => JSON.parse(text));
const key = z.looseObject({ kid: z.string() });
const keys = new Map<string, JsonWebKey & { kid: string }>();

function readKey(file: string): JsonWebKey & { kid: string } {
  const known = keys.get(file);
  if (known) return known;
  const content = keyFile.parse(readFileSync(join(keysFolder ?? '', file), 'utf8'));
  const read =
    file === 'tokens.json' ? z.object({ keys: z.tuple([key]) }).parse(content).keys[0] : key.parse(content);
  keys.set(file, read);
  return read;
}

function userToken(owner: string): string {
  const claims = { iss: 'user_service', aud: 'messaging_suite', sub: owner, sid: TEST_SESSION };
  return signed('tokens.json', 'at+jwt', claims);
}

function serviceToken(name: string, audience: string): string {
  return signed(`services/${name}.json`, 'service+jwt', { iss: name, aud: audience });
}

/** A JWT that is good for an hour (https://www.rfc-editor.org/rfc/rfc7519); at once, as supertest waits for nothing. */
function signed(file: string, typ: string, claims: object): string {
  const own = readKey(file);
  const now = Math.floor(Date.now() / 1_000);
  const content = `${encode({ alg: 'EdDSA', typ, kid: own.kid })}.${encode({ iat: now, exp: now + 3_600, ...claims })}`;
  const signature = sign(null, Buffer.from(content), createPrivateKey({ key: own, format: 'jwk' }));
  return `${content}.${signature.toString('base64url')}`;
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

import { ENDED_SESSIONS_PATH, endedSessions, KEYS_PATH } from '@messaging/service_kit/access/authority';
import { requiredEmail } from '@messaging/service_kit/email';
import { nextPageToken, pageQuery } from '@messaging/service_kit/paging';
import { noContent, noInput, type Operation } from '@messaging/service_kit/rest/operation';
import { z } from 'zod';
import { newUser, userChanges } from '../domain/user.js';

const email = requiredEmail.meta({
  description: 'Spaces around it and its case make no difference',
  examples: ['alice@example.com'],
});
const userPath = z.object({ email });
const success = z.literal(true);
const message = z.string().meta({ description: 'For people' });
const outcome = z.object({ success, message });
const user = z.object({ email: z.string(), name: z.string() }).meta({ id: 'User' });
const noSuchUser = { notFound: 'There is no such user' };

export const createUser = {
  id: 'createUser',
  method: 'post',
  path: '/users',
  summary: 'Create a user, who is subscribed to notifications',
  input: z.object({ body: newUser }),
  success: { status: 201, description: 'The user was created', body: outcome },
  refusals: { invalid: 'A field is missing or not valid, or the email is registered already' },
} satisfies Operation;

export const listUsers = {
  id: 'listUsers',
  method: 'get',
  path: '/users',
  summary: 'List the users',
  input: z.object({ query: pageQuery }),
  success: {
    status: 200,
    description: 'A page of users',
    body: z.object({ success, message, users: z.array(user), next_page_token: nextPageToken }),
  },
} satisfies Operation;

export const getUser = {
  id: 'getUser',
  method: 'get',
  path: '/users/:email',
  summary: 'Read a user',
  input: z.object({ params: userPath }),
  success: { status: 200, description: 'The user', body: z.object({ success, message, user }) },
  refusals: noSuchUser,
} satisfies Operation;

const sentMessage = z
  .object({
    message_id: z.string(),
    sender_email: z.string(),
    receiver_email: z.string(),
    content: z.string(),
    timestamp: z.string(),
  })
  .meta({ id: 'Message' });
const notification = z
  .object({
    sender_email: z.string(),
    receiver_email: z.string(),
    timestamp: z.string(),
    read: z.boolean(),
    id: z.string().optional(),
    message_id: z.string().optional(),
  })
  .meta({ id: 'Notification' });

export const exportUser = {
  id: 'exportUser',
  method: 'get',
  path: '/users/:email/export',
  summary: 'Read all that there is of a user',
  description:
    'However much it is, it is written page by page as one JSON object. What fails on the way breaks the connection: an answer that ends is whole.',
  input: z.object({ params: userPath }),
  success: {
    status: 200,
    description: 'All that there is',
    body: z.object({
      success,
      message,
      account: user,
      subscription: z.object({ subscribed: z.boolean() }),
      messages: z.array(sentMessage).meta({ description: 'Sent and received, the oldest first' }),
      conversations: z
        .array(z.object({ email: z.string(), unread: z.int(), last_message: sentMessage.optional() }))
        .meta({ description: 'The most recent first' }),
      notifications: z.array(notification).meta({ description: 'The newest first' }),
    }),
  },
  refusals: noSuchUser,
} satisfies Operation;

const updated = { status: 200, description: 'The user was changed', body: outcome } as const;
const updateRefusals = {
  ...noSuchUser,
  invalid: 'A field is not valid or not known, or the new email is taken',
};

export const updateUser = {
  id: 'updateUser',
  method: 'put',
  path: '/users/:email',
  summary: 'Change a user',
  description: 'What the body leaves out stays as it is; it holds one field at the least.',
  input: z.object({ params: userPath, body: userChanges }),
  success: updated,
  refusals: updateRefusals,
} satisfies Operation;

export const updateNamedUser = {
  id: 'updateNamedUser',
  method: 'put',
  path: '/users/email',
  summary: 'Change the user that the body names',
  description:
    'The word `email` comes literally in the path. What `data` leaves out stays as it is; it holds one field at the least.',
  input: z.object({ body: z.strictObject({ email, data: userChanges }) }),
  success: updated,
  refusals: updateRefusals,
} satisfies Operation;

export const deleteUser = {
  id: 'deleteUser',
  method: 'delete',
  path: '/users/:email',
  summary: 'Delete a user',
  input: z.object({ params: userPath }),
  success: noContent('The user is gone'),
  refusals: noSuchUser,
} satisfies Operation;

export const deleteNamedUser = {
  id: 'deleteNamedUser',
  method: 'delete',
  path: '/users/email',
  summary: 'Delete the user that the body names',
  description: 'The word `email` comes literally in the path.',
  input: z.object({ body: z.object({ email }) }),
  success: noContent('The user is gone'),
  refusals: noSuchUser,
} satisfies Operation;

const tokens = {
  token: z.string().meta({ description: 'For `Authorization: Bearer `, until it ends' }),
  expires_at: z.string().meta({ description: 'When it ends: ISO 8601, in UTC' }),
  refresh_token: z.string().meta({ description: 'For the next token, as long as the session goes on' }),
  refresh_expires_at: z
    .string()
    .meta({ description: 'When the session ends unless it is used again: ISO 8601, in UTC' }),
};
const session = z.object({ body: z.object({ refresh_token: z.string().min(1, 'is required') }) });
const hasEnded = { unauthenticated: 'The session has ended, or there has never been one' };

const credentials = z.object({
  body: z.object({ email, password: z.string().min(1, 'is required') }),
});
const wrong = { unauthenticated: 'The email or the password is wrong' };
const sessionAnswer = z.object({ success, message, user, ...tokens });

export const logIn = {
  id: 'logIn',
  method: 'post',
  path: '/login',
  summary: "Check a user's password",
  description:
    'Where tokens are asked for (`AUTH_MODE=required`), this begins a session, too, as `POST /sessions` does.',
  input: credentials,
  success: {
    status: 200,
    description: 'The password is right',
    body: z.object({ success, message, user, ...z.object(tokens).partial().shape }),
  },
  refusals: wrong,
} satisfies Operation;

export const beginSession = {
  id: 'beginSession',
  method: 'post',
  path: '/sessions',
  summary: 'Log in: begin a session',
  input: credentials,
  success: { status: 201, description: 'The session has begun', body: sessionAnswer },
  refusals: wrong,
} satisfies Operation;

export const refreshToken = {
  id: 'refreshToken',
  method: 'post',
  path: '/token',
  summary: 'Get the next token of a session, which goes on',
  input: session,
  success: {
    status: 200,
    description: 'The next token',
    body: sessionAnswer,
  },
  refusals: hasEnded,
} satisfies Operation;

export const logOut = {
  id: 'logOut',
  method: 'post',
  path: '/logout',
  summary: 'End a session',
  description: 'Its tokens are good no longer: here at once, and elsewhere within five seconds.',
  input: session,
  success: noContent('The session has ended'),
  refusals: hasEnded,
} satisfies Operation;

export const listTokenKeys = {
  id: 'listTokenKeys',
  method: 'get',
  path: KEYS_PATH,
  summary: 'Read the keys by which tokens are known, as a JSON Web Key Set',
  input: noInput,
  success: {
    status: 200,
    description: 'The public keys',
    body: z.object({ keys: z.array(z.looseObject({ kid: z.string(), kty: z.string() })) }),
  },
} satisfies Operation;

export const listEndedSessions = {
  id: 'listEndedSessions',
  method: 'get',
  path: ENDED_SESSIONS_PATH,
  summary: 'Read which sessions have ended before their time, for services that let their users in',
  input: z.object({
    query: z.object({
      after: z
        .string()
        .regex(/^(\d{1,20}-\d{1,20})?$/, 'must be a next_after that was given before')
        .default('')
        .meta({ description: 'The `next_after` of the answer before' }),
    }),
  }),
  success: { status: 200, description: 'Those that ended since', body: endedSessions },
} satisfies Operation;

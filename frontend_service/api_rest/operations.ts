import { requiredEmail } from '@messaging/service_kit/email';
import { booleanText, text } from '@messaging/service_kit/input';
import { nextPageToken, pageQuery } from '@messaging/service_kit/paging';
import { noContent, noInput, type Operation } from '@messaging/service_kit/rest/operation';
import { z } from 'zod';
import { SESSION_COOKIE } from './session-cookie.js';

/** Enough for a message of 64 KiB, however much of it JSON has to escape. */
const MESSAGE_BODY_LIMIT_BYTES = 512 * 1024;

/** How callers show who they are. */
export const securitySchemes = {
  session: {
    type: 'apiKey',
    in: 'cookie',
    name: SESSION_COOKIE,
    description: 'The cookie that POST /api/session sets',
  },
} as const;

const security = 'session' satisfies keyof typeof securitySchemes;
const ofAnotherOrigin = { forbidden: 'The request comes from a page of another origin' };

const user = z.object({ email: z.string(), name: z.string() }).meta({ id: 'User' });
const email = { examples: ['alice@example.com'] };
const password = { examples: ['correct horse'] };

const message = z
  .object({
    message_id: z.string(),
    sender_email: z.string(),
    receiver_email: z.string(),
    content: z.string(),
    timestamp: z.string().meta({ description: 'ISO 8601, in UTC' }),
  })
  .meta({ id: 'Message' });

const conversation = z
  .object({
    email: z.string().meta({ description: 'The other party' }),
    last_message: message,
    unread: z.int().meta({ description: 'How many messages from the other party the user has not seen' }),
  })
  .meta({ id: 'Conversation' });

const notification = z
  .object({
    sender_email: z.string(),
    receiver_email: z.string(),
    timestamp: z.string().meta({ description: 'ISO 8601, in UTC' }),
    read: z.boolean(),
    id: z.string().exactOptional().meta({ description: "Counts the receiver's notifications, from 1" }),
    message_id: z.string().exactOptional().meta({ description: 'The message that caused it, where one did' }),
  })
  .meta({ id: 'Notification' });

export const createUser = {
  id: 'createUser',
  method: 'post',
  path: '/api/users',
  summary: 'Create an account',
  // What makes a good one, UserService says.
  input: z.object({
    body: z.looseObject({
      email: z.string().meta(email),
      password: z.string().meta(password),
      name: z.string().meta({ examples: ['Alice'] }),
    }),
  }),
  success: {
    status: 201,
    description: 'There is an account',
    body: z.object({ success: z.literal(true), message: z.string().meta({ description: 'For people' }) }),
  },
  refusals: {
    ...ofAnotherOrigin,
    invalid: 'A field is missing or not valid, or the email is registered already',
  },
} satisfies Operation;

export const logIn = {
  id: 'logIn',
  method: 'post',
  path: '/api/session',
  summary: 'Sign in',
  description: 'The answer sets a cookie, which the other requests need.',
  input: z.object({
    body: z.object({
      email: requiredEmail.meta(email),
      password: z.string().min(1, 'is required').meta(password),
    }),
  }),
  success: { status: 200, description: 'Who is signed in', body: user },
  refusals: { ...ofAnotherOrigin, unauthenticated: 'The email or the password is wrong' },
} satisfies Operation;

export const getSession = {
  id: 'getSession',
  method: 'get',
  path: '/api/session',
  summary: 'Tell who is signed in',
  input: noInput,
  success: { status: 200, description: 'Who is signed in', body: user },
  security,
} satisfies Operation;

export const logOut = {
  id: 'logOut',
  method: 'delete',
  path: '/api/session',
  summary: 'Sign out',
  input: noInput,
  success: noContent('The cookie is gone'),
  refusals: ofAnotherOrigin,
  security,
} satisfies Operation;

export const listConversations = {
  id: 'listConversations',
  method: 'get',
  path: '/api/conversations',
  summary: 'List the conversations, the most recent first',
  input: z.object({ query: pageQuery }),
  success: {
    status: 200,
    description: 'A page of conversations',
    body: z.object({ conversations: z.array(conversation), next_page_token: nextPageToken }),
  },
  security,
} satisfies Operation;

const conversationPath = z.object({
  email: requiredEmail.meta({ description: 'The other party', examples: ['bob@example.com'] }),
});

export const listMessages = {
  id: 'listMessages',
  method: 'get',
  path: '/api/conversations/:email/messages',
  summary: "List a conversation's messages, the newest first",
  input: z.object({ params: conversationPath, query: pageQuery }),
  success: {
    status: 200,
    description: 'A page of messages',
    body: z.object({ messages: z.array(message), next_page_token: nextPageToken }),
  },
  security,
} satisfies Operation;

export const sendMessage = {
  id: 'sendMessage',
  method: 'post',
  path: '/api/conversations/:email/messages',
  summary: 'Send a message',
  input: z.object({
    params: conversationPath,
    body: z.object({
      content: text
        .min(1, 'must not be empty')
        .meta({ description: 'At most 64 KiB of UTF-8', examples: ['Hello, Bob!'] }),
    }),
    headers: z.object({
      'idempotency-key': z.string().optional().meta({
        description:
          'Chosen by the sender: a repeat with the same key and content is answered as the first was, and sent once',
      }),
    }),
  }),
  bodyLimitBytes: MESSAGE_BODY_LIMIT_BYTES,
  success: {
    status: 201,
    description: 'The message is stored, and its receiver is notified',
    body: z.object({ message_id: z.string() }),
  },
  refusals: {
    ...ofAnotherOrigin,
    notFound: 'There is no such user',
    mismatch: 'The idempotency key came with another message before',
  },
  security,
} satisfies Operation;

export const markConversationRead = {
  id: 'markConversationRead',
  method: 'post',
  path: '/api/conversations/:email/read',
  summary: 'Note that all that came from the other party so far is seen',
  input: z.object({ params: conversationPath }),
  success: noContent('It is noted'),
  refusals: ofAnotherOrigin,
  security,
} satisfies Operation;

export const listNotifications = {
  id: 'listNotifications',
  method: 'get',
  path: '/api/notifications',
  summary: 'List the notifications, the newest first',
  input: z.object({
    query: z.object({
      unread_only: booleanText.meta({ description: 'Only those that are unread' }),
      ...pageQuery.shape,
    }),
  }),
  success: {
    status: 200,
    description: 'A page of notifications',
    body: z.object({
      notifications: z.array(notification),
      unread: z.int().meta({ description: 'How many are unread in all' }),
      next_page_token: nextPageToken,
    }),
  },
  security,
} satisfies Operation;

export const markNotificationsRead = {
  id: 'markNotificationsRead',
  method: 'post',
  path: '/api/notifications/read',
  summary: 'Note that notifications are seen',
  input: z.object({
    body: z
      .object({
        ids: z.array(z.string()).default([]).meta({ description: 'These' }),
        up_to_id: z
          .string()
          .optional()
          .meta({ description: 'All up to this one', examples: ['7'] }),
      })
      .refine(({ ids, up_to_id }) => ids.length > 0 || up_to_id, 'must name ids or up_to_id'),
  }),
  success: noContent('It is noted'),
  refusals: ofAnotherOrigin,
  security,
} satisfies Operation;

const subscription = z.object({
  subscribed: z.boolean().meta({ description: 'Whether the user gets notifications' }),
});

export const getSubscription = {
  id: 'getSubscription',
  method: 'get',
  path: '/api/subscription',
  summary: 'Tell whether the user gets notifications',
  input: noInput,
  success: { status: 200, description: 'The subscription', body: subscription },
  security,
} satisfies Operation;

export const setSubscription = {
  id: 'setSubscription',
  method: 'put',
  path: '/api/subscription',
  summary: 'Subscribe or unsubscribe',
  input: z.object({ body: subscription }),
  success: { status: 200, description: 'The subscription, as it is from now on', body: subscription },
  refusals: ofAnotherOrigin,
  security,
} satisfies Operation;

const resumption = z
  .string()
  .optional()
  .meta({ description: 'The id of the last event that the caller got, to resume after it' });

export const followEvents = {
  id: 'followEvents',
  method: 'get',
  path: '/api/events',
  summary: 'Follow what happens, live',
  description: [
    'Server-sent events, for as long as the caller stays. Each has `data:`, a JSON object, and of these `event:` one:',
    '`notification`: a notification, with its id as `id:`, and itself as `data:`;',
    '`live`: what comes is told at once from here on;',
    '`interrupted`: what comes is told later, and none of it is lost;',
    '`reset`: there is no resuming from where the caller was, so read the lists;',
    '`heartbeat`: the connection is alive.\n\nWhat waits for the end of an answer shows none of them: try `curl -N`.',
  ].join('\n- '),
  input: z.object({
    headers: z.object({ 'last-event-id': resumption }),
    query: z.object({ last_event_id: resumption }),
  }),
  success: {
    status: 200,
    description: 'The events, without end',
    body: z.string(),
    mediaType: 'text/event-stream',
  },
  refusals: { tooMany: 'The user follows in too many places, or too many follow; try again later' },
  security,
} satisfies Operation;

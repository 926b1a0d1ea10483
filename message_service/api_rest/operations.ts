import { optionalEmail, requiredEmail } from '@messaging/service_kit/email';
import { booleanText } from '@messaging/service_kit/input';
import { nextPageToken, pageQuery } from '@messaging/service_kit/paging';
import { emailInput } from '@messaging/service_kit/rest/email-input';
import { noContent, type Operation } from '@messaging/service_kit/rest/operation';
import { z } from 'zod';
import { MAX_CONTENT_BYTES, messageContent, messageId, requestId } from '../domain/message.js';

/** Enough for a message of 64 KiB, however much of it JSON has to escape. */
const MESSAGE_BODY_LIMIT_BYTES = 512 * 1024;

const success = z.literal(true);
const text = z.string().meta({ description: 'For people' });
const content = messageContent.meta({
  description: `At most ${MAX_CONTENT_BYTES} bytes of UTF-8`,
  examples: ['Hello, Bob!'],
});
const alice = { examples: ['alice@example.com'] };
const bob = { examples: ['bob@example.com'] };

const message = z
  .object({
    message_id: z.string(),
    sender_email: z.string(),
    receiver_email: z.string(),
    content: z.string(),
    timestamp: z.iso.datetime().meta({ description: 'When it was sent, in UTC' }),
  })
  .meta({ id: 'Message' });

const conversation = z
  .object({
    email: z.string().meta({ description: 'The other party' }),
    unread: z.int().meta({ description: 'How many messages from the other party the user has not seen' }),
    last_message: message.optional(),
  })
  .meta({ id: 'Conversation' });

export const sendMessage = {
  id: 'sendMessage',
  method: 'post',
  path: '/messages',
  summary: 'Send a message',
  input: z.object({
    body: z.object({
      sender_email: requiredEmail.meta(alice),
      receiver_email: requiredEmail.meta(bob),
      content,
    }),
    headers: z.object({
      'idempotency-key': requestId.meta({
        description:
          'Chosen by the sender: a repeat with the same key and body is answered as the first was, and sent once',
      }),
    }),
  }),
  bodyLimitBytes: MESSAGE_BODY_LIMIT_BYTES,
  success: {
    status: 201,
    description: 'The message is stored, and its receiver is notified',
    body: z.object({ success, message: text, message_id: z.string() }),
  },
  refusals: {
    notFound: 'There is no such sender or receiver',
    mismatch: 'The idempotency key came with another message before',
  },
} satisfies Operation;

export const listMessages = {
  id: 'listMessages',
  method: 'get',
  path: '/messages',
  summary: "List a user's messages, sent and received",
  input: z.object({
    query: z.object({
      user_email: requiredEmail.meta({ description: 'Whose', ...alice }),
      with_email: optionalEmail.meta({ description: 'Only those exchanged with this user', ...bob }),
      newest_first: booleanText.meta({ description: 'The newest first, rather than the oldest' }),
      ...pageQuery.shape,
    }),
  }),
  success: {
    status: 200,
    description: 'A page of messages',
    body: z.object({ success, messages: z.array(message), next_page_token: nextPageToken }),
  },
} satisfies Operation;

export const deleteMessage = {
  id: 'deleteMessage',
  method: 'delete',
  path: '/messages/:message_id',
  summary: 'Delete a message, for one party or for both',
  input: z.object({
    params: z.object({ message_id: messageId.meta({ examples: ['1'] }) }),
    query: z.object({
      user_email: requiredEmail.meta({ description: 'Who deletes it', ...alice }),
      for_both: booleanText.meta({
        description: 'For the other party, too: the sender alone may do so, and only for a while',
      }),
    }),
  }),
  success: noContent('The message is gone'),
  refusals: {
    notFound: 'The user has no such message',
    forbidden: 'Only its sender can delete it for both',
    mismatch: 'It is too late to delete it for both',
  },
} satisfies Operation;

export const listConversationsPage = {
  id: 'listConversationsPage',
  method: 'get',
  path: '/conversations',
  summary: "List a user's conversations, the most recent first",
  input: z.object({
    query: z.object({
      user_email: requiredEmail.meta({ description: 'Whose', ...alice }),
      ...pageQuery.shape,
    }),
  }),
  success: {
    status: 200,
    description: 'A page of conversations',
    body: z.object({ success, conversations: z.array(conversation), next_page_token: nextPageToken }),
  },
} satisfies Operation;

export const markConversationRead = {
  id: 'markConversationRead',
  method: 'post',
  path: '/conversations/read',
  summary: 'Note that a user has seen all that came from another so far',
  input: z.object({
    body: z.object({
      user_email: requiredEmail.meta({ description: 'Who has seen it', ...alice }),
      with_email: requiredEmail.meta({ description: 'Who had sent it', ...bob }),
    }),
  }),
  success: { status: 200, description: 'It is noted', body: z.object({ success, message: text }) },
} satisfies Operation;

export const listConversations = {
  id: 'listConversations',
  method: 'get',
  path: '/list_conversations',
  summary: 'List whom a user has conversations with, the most recent first',
  input: emailInput,
  success: {
    status: 200,
    description: 'The other party of each conversation',
    body: z.object({ success, conversations: z.array(z.string()) }),
  },
} satisfies Operation;

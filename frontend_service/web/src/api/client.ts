import * as z from 'zod/mini';
import { conversationSchema, messageSchema, notificationSchema, type User, userSchema } from './types.js';

/** More than the server takes to give up on its own peers. */
const TIMEOUT_MS = 15_000;
const PAGE_SIZE = 50;

/** A request that failed: with the status of the answer, or 0 where none came. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }

  /** Whether the same may succeed when it is tried again. */
  get isTransient(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

const refusal = z.object({ message: z.string() });
const conversationsReply = z.object({
  conversations: z.array(conversationSchema),
  next_page_token: z.string(),
});
const messagesReply = z.object({ messages: z.array(messageSchema), next_page_token: z.string() });
const notificationsReply = z.object({
  notifications: z.array(notificationSchema),
  unread: z.number(),
  next_page_token: z.string(),
});
const sentReply = z.object({ message_id: z.string() });
const subscriptionReply = z.object({ subscribed: z.boolean() });

interface Call {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  body?: unknown;
  headers?: Record<string, string>;
}

async function call(path: string, { method = 'GET', body, headers = {} }: Call): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(`/api${path}`, {
      method,
      headers: body === undefined ? headers : { ...headers, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (response.status === 204) return undefined;
    const reply: unknown = await response.json();
    if (response.ok) return reply;
    throw new ApiError(response.status, refusal.parse(reply).message);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(0, error instanceof Error ? error.message : String(error));
  }
}

const page = (token: string) => `page_size=${PAGE_SIZE}&page_token=${encodeURIComponent(token)}`;
const conversationPath = (email: string) => `/conversations/${encodeURIComponent(email)}`;

/** The routes of the server. Each throws an `ApiError`. An empty page token asks for the first page. */
export const api = {
  signUp: async (email: string, password: string, name: string): Promise<void> => {
    await call('/users', { method: 'POST', body: { email, password, name } });
  },
  signIn: async (email: string, password: string): Promise<User> =>
    userSchema.parse(await call('/session', { method: 'POST', body: { email, password } })),
  signOut: async (): Promise<void> => {
    await call('/session', { method: 'DELETE' });
  },
  getSession: async (): Promise<User> => userSchema.parse(await call('/session', {})),

  listConversations: async (token = '') =>
    conversationsReply.parse(await call(`/conversations?${page(token)}`, {})),
  /** The newest first. */
  listMessages: async (email: string, token = '') =>
    messagesReply.parse(await call(`${conversationPath(email)}/messages?${page(token)}`, {})),
  /** A repeat with the same key stores nothing again. */
  sendMessage: async (email: string, content: string, key: string): Promise<string> => {
    const reply = await call(`${conversationPath(email)}/messages`, {
      method: 'POST',
      body: { content },
      headers: { 'Idempotency-Key': key },
    });
    return sentReply.parse(reply).message_id;
  },
  markConversationRead: async (email: string): Promise<void> => {
    await call(`${conversationPath(email)}/read`, { method: 'POST' });
  },

  listNotifications: async (token = '') =>
    notificationsReply.parse(await call(`/notifications?${page(token)}`, {})),
  markNotificationsRead: async (seen: { ids: string[] } | { up_to_id: string }): Promise<void> => {
    await call('/notifications/read', { method: 'POST', body: seen });
  },
  isSubscribed: async (): Promise<boolean> =>
    subscriptionReply.parse(await call('/subscription', {})).subscribed,
  setSubscribed: async (subscribed: boolean): Promise<boolean> =>
    subscriptionReply.parse(await call('/subscription', { method: 'PUT', body: { subscribed } })).subscribed,
};

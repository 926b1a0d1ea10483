import * as z from 'zod/mini';
import { notificationSchema } from '../api/types.js';

/** What every tab is told, by the server or by another tab. */
export const feedEventSchema = z.discriminatedUnion('type', [
  /** What happens is told at once. */
  z.object({ type: z.literal('live') }),
  /** What happens is told later. */
  z.object({ type: z.literal('interrupted') }),
  /** Some of what happened is never told: the lists are to be read anew. */
  z.object({ type: z.literal('reset') }),
  z.object({ type: z.literal('notification'), notification: notificationSchema }),
  /** The session is over. */
  z.object({ type: z.literal('ended') }),
  /** Another tab changed something in the conversation with this person. */
  z.object({ type: z.literal('changed'), email: z.string() }),
]);
export type FeedEvent = z.output<typeof feedEventSchema>;

/** What a tab tells the worker that it shares with the others. */
export const tabMessageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('hello') }),
  z.object({ type: z.literal('bye') }),
  z.object({ type: z.literal('ended') }),
  z.object({ type: z.literal('changed'), email: z.string() }),
]);
export type TabMessage = z.output<typeof tabMessageSchema>;

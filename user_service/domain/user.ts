import { accountEmail } from '@messaging/service_kit/email';
import { text } from '@messaging/service_kit/input';
import { z } from 'zod';
import { MAX_PASSWORD_BYTES } from './passwords.js';

/** An account as everyone may see it. */
export interface User {
  email: string;
  name: string;
}

/** An account as it is stored. Keys of other versions are kept. */
export const userRecord = z.looseObject({ name: z.string(), email: z.string(), password: z.string() });
export type UserRecord = z.output<typeof userRecord>;

const password = z
  .string()
  .min(1, 'is required')
  .refine(
    (value) => Buffer.byteLength(value) <= MAX_PASSWORD_BYTES,
    `must be at most ${MAX_PASSWORD_BYTES} bytes`,
  )
  .meta({ description: `At most ${MAX_PASSWORD_BYTES} bytes of UTF-8`, examples: ['correct horse'] });

const name = text
  .refine((value) => value.trim() !== '', 'is required')
  .max(200, 'must be at most 200 characters')
  .meta({ description: 'More than spaces', examples: ['Alice'] });

/** What makes an account. */
export const newUser = z.object({ email: accountEmail, password, name });
export type NewUser = z.output<typeof newUser>;

/** What can be changed about an account: at least one of its fields, and no others. */
export const userChanges = z
  .strictObject({
    email: accountEmail.exactOptional(),
    password: password.exactOptional(),
    name: name.exactOptional(),
  })
  .refine((changes) => Object.keys(changes).length > 0, 'must hold at least one of email, password, name');
export type UserChanges = z.output<typeof userChanges>;

/** A new account that is to be subscribed to notifications. */
export const pendingSubscription = z.object({
  email: z.string(),
  /** Whose subscription it is, where the address is somebody else's by now. Entries of older versions have none. */
  tenure: z.string().optional(),
});
export type PendingSubscription = z.output<typeof pendingSubscription>;

/** Whether there is an account, and whose the address is. */
export interface Existence {
  exists: boolean;
  /** A number that grows whenever somebody takes the address; '0' for nobody, or an account of older versions. */
  tenure: string;
}

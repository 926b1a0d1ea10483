import { requiredEmail } from '@messaging/service_kit/email';
import { z } from 'zod';

const number = z.string().regex(/^\d{1,15}$/, 'must be a decimal number');

/** An account that has left an address, as a caller tells it. */
export const departure = z.object({
  email: requiredEmail,
  /** Grows with every departure. */
  departure_id: number,
  /** Which tenure of the address has ended. */
  tenure: number,
});
export type Departure = z.output<typeof departure>;

/** One that has another address now. */
export const move = departure.extend({ to_email: requiredEmail });
export type Move = z.output<typeof move>;

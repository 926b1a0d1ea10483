import { accountEmail } from '@messaging/service_kit/email';
import { z } from 'zod';

const number = z.string().regex(/^\d{1,15}$/, 'must be a decimal number');

const fields = z.object({
  email: accountEmail,
  /** Grows with every departure. */
  departure_id: number,
  /** Which tenure of the address has ended. */
  tenure: number,
});

function isInOrder({ tenure, departure_id }: z.output<typeof fields>): boolean {
  return Number(tenure) < Number(departure_id);
}
const outOfOrder = { path: ['tenure'], message: 'must be less than departure_id' };

/** An account that has left an address, as a caller tells it. */
export const departure = fields.refine(isInOrder, outOfOrder);
export type Departure = z.output<typeof departure>;

/** One that has another address now. */
export const move = fields
  .extend({ to_email: accountEmail })
  .refine(isInOrder, outOfOrder)
  .refine(({ email, to_email }) => email !== to_email, {
    path: ['to_email'],
    message: 'must be another address',
  });
export type Move = z.output<typeof move>;

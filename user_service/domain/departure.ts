import { z } from 'zod';

/** An account that has left an address: it is deleted, or has another email now. What it left there is still to follow. */
export const departure = z.object({
  /** A decimal number, which grows: departures from and to one address are carried out in its order. */
  id: z.string(),
  /** The address that was left. */
  email: z.string(),
  /** Which tenure of that address has ended. */
  tenure: z.string(),
  /** The address that the account has now, of which its tenure has the departure's number; unset for one that is deleted. */
  to_email: z.string().optional(),
});
export type Departure = z.output<typeof departure>;

import { z } from 'zod';

/** An account as everyone may see it. */
export const user = z.object({ email: z.string(), name: z.string() });
export type User = z.output<typeof user>;

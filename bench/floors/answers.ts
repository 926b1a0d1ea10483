import { z } from 'zod';

/** What a floor answers with: by the path of a gRPC method, in base64, or of a route, as it is. */
export const answersSchema = z.record(z.string(), z.string());
export type Answers = z.output<typeof answersSchema>;

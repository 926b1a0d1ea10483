import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export { loaderOptions } from './loader-options.mjs';

/** The folder that holds the .proto files, as an absolute path. */
export const protoFolder = fileURLToPath(new URL('..', import.meta.url));

/**
 * Reads the serialized `google.protobuf.FileDescriptorSet` of all .proto files, of
 * `grpc.health.v1`, and of what they import.
 *
 * @throws when the build has not written it.
 */
export function readDescriptorSet(): Uint8Array {
  return readFileSync(new URL('descriptor-set.binpb', import.meta.url));
}

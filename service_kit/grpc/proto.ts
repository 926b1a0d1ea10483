import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { loaderOptions, protoFolder } from '@messaging/proto_definitions';

/**
 * Loads one of the suite's .proto files. `Proto` is the `ProtoGrpcType` that was generated from the same file.
 *
 * @NOTE The cast is the one place where types generated at build time meet a file loaded at run time; both
 * come from the same folder, with the same options.
 */
export function loadProto<Proto>(file: string): Proto {
  return loadPackageDefinition(
    loadSync(file, { ...loaderOptions, includeDirs: [protoFolder] }),
  ) as unknown as Proto;
}

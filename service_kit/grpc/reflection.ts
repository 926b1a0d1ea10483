import type { MessageTypeDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { readDescriptorSet } from '@messaging/proto_definitions';
import protobuf from 'protobufjs/minimal.js';

/**
 * Creates the reflection service (v1 and v1alpha) for one service of the suite, and for health beside it.
 *
 * @NOTE proto-loader's own descriptors lack the imports, which strict clients refuse (grpc-node issues 2595 and
 * 3018). ReflectionService takes the descriptors of any object that carries some, so it gets the compiler's.
 */
export function createReflection(serviceName: string): ReflectionService {
  const carrier: MessageTypeDefinition<object, object> = {
    format: 'Protocol Buffer 3 DescriptorProto',
    type: {},
    fileDescriptorProtos: splitDescriptorSet(readDescriptorSet()),
    serialize: () => Buffer.alloc(0),
    deserialize: () => ({}),
  };
  return new ReflectionService({ carrier }, { services: [serviceName, 'grpc.health.v1.Health'] });
}

/** `message FileDescriptorSet { repeated FileDescriptorProto file = 1; }`, taken apart without decoding. */
function splitDescriptorSet(descriptorSet: Uint8Array): Buffer[] {
  const reader = protobuf.Reader.create(descriptorSet);
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    reader.uint32();
    files.push(Buffer.from(reader.bytes()));
  }
  return files;
}

// A grpc-js server that only answers, always the same: the least that a gRPC call can cost here.
// node grpc-answer.js PORT ANSWERS_FILE
import { readFileSync } from 'node:fs';
import {
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { messageService, notificationService, userService } from '../protos.js';
import { answersSchema } from './answers.js';

const [port = '', file = ''] = process.argv.slice(2);
const answers = answersSchema.parse(JSON.parse(readFileSync(file, 'utf8')));

function createHandlers(service: ServiceDefinition): UntypedServiceImplementation {
  return Object.fromEntries(
    Object.entries(service).flatMap(([name, method]): [string, handleUnaryCall<unknown, unknown>][] => {
      const bytes = answers[method.path];
      if (bytes === undefined) return [];
      // Decoded, so that encoding it again is part of answering, as in the suite.
      const reply: unknown = method.responseDeserialize(Buffer.from(bytes, 'base64'));
      return [[name, (_call, callback) => callback(null, reply)]];
    }),
  );
}

const server = new Server();
for (const service of [userService, messageService, notificationService]) {
  server.addService(service, createHandlers(service));
}
server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});

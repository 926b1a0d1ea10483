// The chain of SendMessage as a plain port writes it: one awaited call after the other, nothing shared, nothing
// checked, nothing logged but what FrontendService is there to show.
// One service a process: node plain-port.js SERVICE PORT REDIS_PORT [PEER_ADDRESS...]
import {
  Client,
  credentials,
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Notification__Output as Notification } from '@messaging/proto_definitions/frontend_service/Notification';
import type { SendMessageRequest__Output as SendMessageRequest } from '@messaging/proto_definitions/message_service/SendMessageRequest';
import type { CreateNotificationRequest__Output as CreateNotificationRequest } from '@messaging/proto_definitions/notification_service/CreateNotificationRequest';
import type { CheckUserExistsRequest__Output as CheckUserExistsRequest } from '@messaging/proto_definitions/user_service/CheckUserExistsRequest';
import { Redis } from 'ioredis';
import { callUnary } from '../grpc-call.js';
import { frontendService, messageService, notificationService, userService } from '../protos.js';

const [service = '', port = '', redisPort = '', ...peers] = process.argv.slice(2);

const services: Record<string, () => [ServiceDefinition, UntypedServiceImplementation]> = {
  user: () => {
    const redis = connect(0);
    return [
      userService,
      {
        CheckUserExists: unary(async ({ email }: CheckUserExistsRequest) => {
          return { exists: (await redis.exists(`users:${email}`)) === 1 };
        }),
      },
    ];
  },

  message: () => {
    const redis = connect(1);
    const [users, notifications] = [connectPeer(0), connectPeer(1)];
    return [
      messageService,
      {
        SendMessage: unary(async ({ message }: SendMessageRequest) => {
          const { sender_email = '', receiver_email = '', content = '' } = message ?? {};
          const sender = await callUnary(users, userService.CheckUserExists, { email: sender_email });
          if (!sender.exists) return { success: false, message: 'Sender does not exist' };
          const receiver = await callUnary(users, userService.CheckUserExists, { email: receiver_email });
          if (!receiver.exists) return { success: false, message: 'Receiver does not exist' };

          const id = await redis.incr('message_id_counter');
          const timestamp = new Date().toISOString();
          await redis.set(
            `message:${id}`,
            JSON.stringify({ id, sender_email, receiver_email, content, timestamp }),
          );
          const conversation = `conversation:${sender_email}:${receiver_email}`;
          await redis.hset(conversation, { last_message_id: id, last_timestamp: timestamp });
          await redis.hincrby(conversation, 'message_count', 1);
          await redis.sadd(`user:${sender_email}:conversations`, receiver_email);
          await redis.sadd(`user:${receiver_email}:conversations`, sender_email);

          await callUnary(notifications, notificationService.CreateNotification, {
            sender_email,
            receiver_email,
          });
          return { success: true, message: 'Message sent', message_id: String(id) };
        }),
      },
    ];
  },

  notification: () => {
    const redis = connect(2);
    const frontend = connectPeer(0);
    return [
      notificationService,
      {
        CreateNotification: unary(
          async ({ sender_email = '', receiver_email = '' }: CreateNotificationRequest) => {
            const subscription = await redis.hget('subscriptions', receiver_email);
            if (subscription === null) return { success: false };
            const timestamp = new Date().toISOString();
            const notification = { sender_email, receiver_email, timestamp, read: false };
            await redis.lpush(`notifications:${receiver_email}`, JSON.stringify(notification));
            await callUnary(frontend, frontendService.ReceiveNotification, notification);
            return { success: true };
          },
        ),
      },
    ];
  },

  frontend: () => [
    frontendService,
    {
      ReceiveNotification: unary(async ({ sender_email, receiver_email, timestamp }: Notification) => {
        process.stdout.write(`${timestamp} ${receiver_email} has a message from ${sender_email}\n`);
        return { success: true };
      }),
    },
  ],
};

function connect(database: number): Redis {
  return new Redis({ host: '127.0.0.1', port: Number(redisPort), db: database });
}

function connectPeer(position: number): Client {
  return new Client(peers[position] ?? '', credentials.createInsecure());
}

function unary<Request, Reply>(
  handle: (request: Request) => Promise<Reply>,
): handleUnaryCall<Request, Reply> {
  return (call, callback) => {
    void (async () => {
      try {
        callback(null, await handle(call.request));
      } catch (error) {
        callback({ details: String(error) });
      }
    })();
  };
}

const create = services[service];
if (!create) throw new Error(`There is no service ${service}: one of ${Object.keys(services).join(', ')}`);
const server = new Server();
server.addService(...create());
server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});

import { isGrpcServing } from '@messaging/service_kit/grpc/probe';
import { loadConfig } from '../config.js';

process.exit((await isGrpcServing(`127.0.0.1:${loadConfig().grpcPort}`, 2_000)) ? 0 : 1);

import { runProcess } from '@messaging/service_kit/lifecycle';
import { loadConfig } from '../config.js';
import { createGrpcApp } from './app.js';

await runProcess('frontend_service_grpc', loadConfig, createGrpcApp);

import { runProcess } from '@messaging/service_kit/lifecycle';
import { loadConfig } from '../config.js';
import { createRestApp } from './app.js';

await runProcess('message_service_api', loadConfig, createRestApp);

import { runProcess } from '@messaging/service_kit/lifecycle';
import { loadConfig } from '../config.js';
import { createRestApp } from './app.js';

await runProcess('notification_service_api', loadConfig, createRestApp);

import { runProcess } from '@messaging/service_kit/lifecycle';
import { loadConfig } from '../config.js';
import { createRestApp } from './app.js';

await runProcess('frontend_service_api', loadConfig, createRestApp);

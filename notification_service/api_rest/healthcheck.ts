import { isRestReady } from '@messaging/service_kit/rest/probe';
import { loadConfig } from '../config.js';

process.exit((await isRestReady(`127.0.0.1:${loadConfig().restPort}`, 2_000)) ? 0 : 1);

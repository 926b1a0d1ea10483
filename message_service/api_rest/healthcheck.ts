import { isRestReady } from '@messaging/service_kit/rest/probe';
import { loadCertificates } from '@messaging/service_kit/tls/certificates';
import { loadConfig } from '../config.js';

const { restPort, tls } = loadConfig();
await loadCertificates(tls);
process.exit((await isRestReady('message_service', `127.0.0.1:${restPort}`, 2_000)) ? 0 : 1);

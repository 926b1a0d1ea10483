import { isGrpcServing } from '@messaging/service_kit/grpc/probe';
import { loadCertificates } from '@messaging/service_kit/tls/certificates';
import { loadConfig } from '../config.js';

const { grpcPort, tls } = loadConfig();
await loadCertificates(tls);
process.exit((await isGrpcServing('frontend_service', `127.0.0.1:${grpcPort}`, 2_000)) ? 0 : 1);

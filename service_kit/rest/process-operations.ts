import { z } from 'zod';
import { type Answer, noInput, type Operation } from './operation.js';

// What every REST door offers besides what its service is for.

const message = z.string().meta({ description: 'For people' });

export const describeService = {
  id: 'describeService',
  method: 'get',
  path: '/',
  summary: 'Name the service and its routes',
  input: noInput,
  success: {
    status: 200,
    description: 'What this is, and what it offers',
    body: z.object({
      success: z.literal(true),
      message,
      service: z.string(),
      routes: z.array(z.string()).meta({ examples: [['GET /users/{email}']] }),
      documentation: z.string().meta({ description: 'Where people can read about the routes, and try them' }),
    }),
  },
} satisfies Operation;

export const checkLiveness = {
  id: 'checkLiveness',
  method: 'get',
  path: '/healthz',
  summary: 'Tell whether the process is alive',
  input: noInput,
  success: {
    status: 200,
    description: 'It is',
    body: z.object({ success: z.literal(true), message }),
  },
} satisfies Operation;

const readiness = {
  message,
  missing: z.array(z.string()).meta({ description: 'What it can not serve without, and can not reach' }),
  unreachable_peers: z
    .array(z.string())
    .meta({ description: 'The services that it calls and can not reach at the moment: no reason for a 503' }),
};

export const checkReadiness = {
  id: 'checkReadiness',
  method: 'get',
  path: '/readyz',
  summary: 'Tell whether the process can serve',
  input: noInput,
  success: {
    status: 200,
    description: 'It can',
    body: z.object({ success: z.literal(true), ...readiness }),
  },
} satisfies Operation;

/** What `checkReadiness` answers otherwise. */
export const notReady = {
  status: 503,
  description: 'It can not, because of what is missing or because it is stopping',
  body: z.object({ success: z.literal(false), ...readiness }),
} satisfies Answer;

export const readMetrics = {
  id: 'readMetrics',
  method: 'get',
  path: '/metrics',
  summary: 'Read the metrics of the process, as Prometheus scrapes them',
  input: noInput,
  success: {
    status: 200,
    description: "In Prometheus's text format",
    body: z.string(),
    mediaType: 'text/plain',
  },
} satisfies Operation;

export const describeApi = {
  id: 'describeApi',
  method: 'get',
  path: '/openapi.json',
  summary: 'Read this description',
  input: noInput,
  success: {
    status: 200,
    description: 'As OpenAPI 3.1',
    body: z.looseObject({ openapi: z.string() }),
  },
} satisfies Operation;

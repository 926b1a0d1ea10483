import { z } from 'zod';
import {
  createDocument,
  type CreateDocumentOptions,
  type ZodOpenApiOperationObject,
  type ZodOpenApiResponseObject,
} from 'zod-openapi';
import { type ErrorKind, errorKinds } from '../errors.js';
import { errorAnswer, PROBLEM_TYPE, problemAnswer } from './errors.js';
import { type Answer, BEARER, type Operation } from './operation.js';
import {
  checkLiveness,
  checkReadiness,
  describeApi,
  describeService,
  notReady,
  readMetrics,
} from './process-operations.js';
import { toTemplate } from './route.js';

/** The version of the API, which follows https://semver.org: it grows with what is published, and nothing published goes. */
const API_VERSION = '1.0.0';

type SecurityScheme =
  | { type: 'apiKey'; in: 'cookie'; name: string; description: string }
  | { type: 'http'; scheme: 'bearer'; description: string };

const bearerScheme: SecurityScheme = {
  type: 'http',
  scheme: 'bearer',
  description: 'The token that logging in gives, or that of a service',
};

/** A door, as its description tells of it. */
export interface DescribedDoor {
  /** The service's name, for people. */
  name: string;
  /** What the service is for, in a sentence or two. */
  description: string;
  /** How callers can show who they are, by the names that operations have for it. */
  securitySchemes?: Record<string, SecurityScheme>;
  /** Whether some operations ask for a token. */
  asksForTokens: boolean;
  /** Whether `/` answers with a page where the caller would rather have HTML. */
  hasPage?: boolean;
  /** What the service is for. */
  operations: readonly Operation[];
}

/** Those that every door has, each with what else it may answer. */
const processOperations: readonly [Operation, ...Answer[]][] = [
  [describeService],
  [checkLiveness],
  [checkReadiness, notReady],
  [readMetrics],
  [describeApi],
];
const PROCESS_TAG = 'The process';

const responseHeaders = z.object({
  'X-Request-Id': z.string().meta({
    description:
      'What the request is called in the logs: the id that it came with, in a header of this name, or a new one',
    header: { id: 'RequestId' },
  }),
});

const transientHeaders = responseHeaders.extend({
  'Retry-After': z.string().meta({ description: 'In seconds', header: { id: 'RetryAfter' } }),
});

/** What any operation that works on something can answer with, and when. */
const usualRefusals: Partial<Record<ErrorKind, string>> = {
  invalid: 'The request can not be read, or a field in it is not valid',
  tooLarge: 'The body is too large',
  tooMany: 'Too much is under way at the moment; try again shortly',
  internal: 'Something went wrong on our side',
  unavailable: 'Something needed is not available at the moment; try again shortly',
  tooSlow: 'It could not be done in time; try again shortly',
};

/** The same, as the document has it: once. */
const sharedRefusals = describeRefusals(
  usualRefusals,
  (kind) => kind.charAt(0).toUpperCase() + kind.slice(1),
);

/**
 * Describes a door as OpenAPI 3.1 does (https://spec.openapis.org/oas/v3.1.1.html).
 *
 * @returns the document, as JSON
 */
export function describeDoor(door: DescribedDoor): string {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  const add = ({ path, method }: Operation, described: ZodOpenApiOperationObject) => {
    (paths[toTemplate(path)] ??= {})[method] = described;
  };
  for (const operation of door.operations) add(operation, describeOperation(operation, door.name));
  for (const [operation, ...otherAnswers] of processOperations) {
    if (operation === readMetrics && door.asksForTokens) {
      add(operation, describeOperation({ ...operation, security: BEARER }, PROCESS_TAG));
      continue;
    }
    const responses = describeAnswers(operation.success, ...otherAnswers);
    if (operation === describeService && door.hasPage) addPage(responses);
    add(operation, { ...describeForPeople(operation, PROCESS_TAG), responses });
  }
  const securitySchemes = door.asksForTokens
    ? { ...door.securitySchemes, [BEARER]: bearerScheme }
    : door.securitySchemes;
  const document = createDocument(
    {
      openapi: '3.1.1',
      info: { title: door.name, version: API_VERSION, description: door.description },
      // Where this document is, whatever stands in front.
      servers: [{ url: './' }],
      tags: [{ name: door.name }, { name: PROCESS_TAG, description: 'For those who run it' }],
      paths,
      ...(securitySchemes && { components: { securitySchemes } }),
    },
    documentOptions,
  );
  return JSON.stringify(document);
}

const documentOptions: CreateDocumentOptions = {
  override: ({ jsonSchema, zodSchema, io }) => {
    // Answers may get more fields in time: those who read them pass over what they do not know.
    const isClosed = zodSchema instanceof z.ZodObject && jsonSchema.additionalProperties === false;
    if (io === 'output' && isClosed) delete jsonSchema.additionalProperties;
  },
};

function describeOperation(operation: Operation, tag: string): ZodOpenApiOperationObject {
  const { params, query, headers, body } = operation.input.shape;
  const { security } = operation;
  const refusals = {
    ...(security !== undefined && { unauthenticated: 'The caller has not shown who it is' }),
    ...(security === BEARER && { forbidden: 'The caller may not do this, or not for this user' }),
    ...operation.refusals,
  };
  return {
    ...describeForPeople(operation, tag),
    requestParams: {
      ...(params instanceof z.ZodObject && { path: params }),
      ...(query instanceof z.ZodObject && { query }),
      ...(headers instanceof z.ZodObject && { header: headers }),
    },
    // Browsers send no body with a GET, and HTTP gives it no meaning: who sends one knows that it serves.
    ...(body instanceof z.ZodType &&
      operation.method !== 'get' && {
        requestBody: { required: true, content: { 'application/json': { schema: body } } },
      }),
    responses: { ...describeAnswers(operation.success), ...sharedRefusals, ...describeRefusals(refusals) },
    ...(security !== undefined && { security: [{ [security]: [] }] }),
  };
}

function describeForPeople({ id, summary, description }: Operation, tag: string) {
  return { operationId: id, summary, ...(description !== undefined && { description }), tags: [tag] };
}

function describeAnswers(...answers: Answer[]): Record<string, ZodOpenApiResponseObject> {
  const responses: Record<string, ZodOpenApiResponseObject> = {};
  for (const { status, description, body, mediaType = 'application/json' } of answers) {
    const hasBody = !(body instanceof z.ZodVoid);
    responses[`${status}`] = {
      description,
      headers: responseHeaders,
      ...(hasBody && { content: { [mediaType]: { schema: body } } }),
    };
  }
  return responses;
}

function addPage(responses: Record<string, ZodOpenApiResponseObject>): void {
  const content = responses['200']?.content;
  if (content) content['text/html'] = { schema: z.string() };
}

/** @param toId what a refusal is called, for others to refer to it */
function describeRefusals(
  refusals: Partial<Record<ErrorKind, string>>,
  toId?: (kind: string) => string,
): Record<string, ZodOpenApiResponseObject> {
  const descriptions = new Map(Object.entries(refusals));
  const responses: Record<string, ZodOpenApiResponseObject> = {};
  for (const [kind, { http, isTransient }] of Object.entries(errorKinds)) {
    const description = descriptions.get(kind);
    if (description === undefined) continue;
    responses[String(http)] = {
      ...(toId && { id: toId(kind) }),
      description,
      headers: isTransient ? transientHeaders : responseHeaders,
      content: { 'application/json': { schema: errorAnswer }, [PROBLEM_TYPE]: { schema: problemAnswer } },
    };
  }
  return responses;
}

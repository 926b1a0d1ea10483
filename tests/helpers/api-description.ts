import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { z } from 'zod';

/** The methods that doors answer. */
export const methods = ['get', 'post', 'put', 'patch', 'delete'] as const;

const REFERENCE_TO_RESPONSE = '#/components/responses/';

const response = z.looseObject({
  headers: z.record(z.string(), z.unknown()).default({}),
  content: z.record(z.string(), z.looseObject({})).optional(),
});
const operation = z.looseObject({
  operationId: z.string(),
  security: z.array(z.record(z.string(), z.array(z.string()))).optional(),
  responses: z.record(z.string(), response),
});

/** What tests read of a door's OpenAPI document. */
export const apiDescription = z.looseObject({
  openapi: z.literal('3.1.1'),
  paths: z.record(z.string(), z.record(z.string(), operation)),
});
export type ApiDescription = z.output<typeof apiDescription>;

/** The part of an answer that is checked. */
export interface GivenAnswer {
  status: number;
  headers: Record<string, string>;
  /** Undefined, or empty, without a body. */
  text?: string;
}

const jsonObject = z.record(z.string(), z.unknown());
const components = z.object({ components: z.object({ responses: jsonObject }) });

/** Checks a door's answers against what it says of itself in `/openapi.json`. */
export class AnswerChecker {
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true });
  readonly #paths: ApiDescription['paths'];

  constructor(document: ApiDescription) {
    addFormats.default(this.#ajv);
    const { responses } = components.parse(document).components;
    const schema = tighten(document, responses);
    this.#ajv.addSchema({ ...jsonObject.parse(schema), $id: 'door' });
    this.#paths = apiDescription.parse(schema).paths;
  }

  /** @throws when it is an answer that is not described, or of another form. */
  check(method: string, url: string, answer: GivenAnswer): void {
    const path = url.replace(/\?.*/, '');
    const fault = this.#findFault(method, path, answer);
    if (fault === undefined) return;
    throw new Error(`${method} ${path} answered ${answer.status}, unlike what /openapi.json says: ${fault}`);
  }

  #findFault(method: string, path: string, { status, headers, text = '' }: GivenAnswer): string | undefined {
    if (!headers['x-request-id']) return 'X-Request-Id is missing';
    const mediaType = /^[^;]*/.exec(headers['content-type'] ?? '')?.[0] ?? '';
    const template = this.#findTemplate(path);
    const described = template === undefined ? undefined : this.#paths[template]?.[method];
    if (template === undefined || described === undefined) {
      // What is not described is not there, but for the files of pages.
      if (mediaType !== '' && !mediaType.endsWith('json')) return undefined;
      if (status !== 404 && status !== 403) return 'there is no such operation';
      const schema = mediaType === 'application/json' ? 'Error' : 'Problem';
      return this.#findFaultInJson(['components', 'schemas', schema], text);
    }
    const answer = described.responses[status];
    if (!answer) return 'there is no such status';
    for (const name of Object.keys(answer.headers)) {
      if (!headers[name.toLowerCase()]) return `${name} is missing`;
    }
    if (!answer.content) return text === '' ? undefined : `there is no body, but ${text}`;
    if (!(mediaType in answer.content)) return `there is no ${mediaType}`;
    if (!mediaType.endsWith('json')) return undefined;
    const steps = ['paths', template, method, 'responses', String(status), 'content', mediaType, 'schema'];
    return this.#findFaultInJson(steps, text);
  }

  /** Finds the path that is described literally, else the one with parameters. */
  #findTemplate(path: string): string | undefined {
    const segments = path.split('/');
    const matches = (template: string) => {
      const parts = template.split('/');
      return (
        parts.length === segments.length &&
        parts.every((part, index) => part === segments[index] || (part.startsWith('{') && segments[index]))
      );
    };
    return path in this.#paths ? path : Object.keys(this.#paths).find(matches);
  }

  /** Checks JSON against the schema that these steps lead to. */
  #findFaultInJson(steps: string[], text: string): string | undefined {
    const pointer = steps.map((step) => encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1')));
    const validate = this.#ajv.getSchema(`door#/${pointer.join('/')}`);
    if (!validate) return `there is no ${steps.join(' ')}`;
    return validate(JSON.parse(text)) ? undefined : `${this.#ajv.errorsText(validate.errors)} in ${text}`;
  }
}

/**
 * Lets objects have no fields but those that are described, and puts shared responses in their places. The document itself
 * leaves room for fields to come; a field of today that it does not have is a mistake.
 */
function tighten(value: unknown, responses: Record<string, unknown>): unknown {
  if (Array.isArray(value)) return value.map((item) => tighten(item, responses));
  const object = jsonObject.safeParse(value).data;
  if (!object) return value;
  const { $ref } = object;
  if (typeof $ref === 'string' && $ref.startsWith(REFERENCE_TO_RESPONSE)) {
    return tighten(responses[$ref.slice(REFERENCE_TO_RESPONSE.length)], responses);
  }
  const tight = Object.fromEntries(
    Object.entries(object).map(([key, inner]) => [key, tighten(inner, responses)]),
  );
  const isOpen = object['type'] === 'object' && 'properties' in object && !('additionalProperties' in object);
  return isOpen ? { ...tight, additionalProperties: false } : tight;
}

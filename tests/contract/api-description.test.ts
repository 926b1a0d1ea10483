import { Validator } from '@seriousme/openapi-schema-validator';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { isFrontendRestAbsent } from '../helpers/absent.js';
import { apiDescription, methods } from '../helpers/api-description.js';
import { rest } from '../helpers/clients.js';
import type { RestClient } from '../helpers/rest.js';

const index = z.object({ routes: z.array(z.string()), documentation: z.string() });

const doors = [
  { service: 'UserService', ask: rest.users },
  { service: 'MessageService', ask: rest.messages },
  { service: 'NotificationService', ask: rest.notifications },
  { service: 'FrontendService', ask: rest.frontend },
];

/** Reads a door's operations, each with what a caller would write: `GET /users/{email}`. */
async function readOperations(ask: () => RestClient) {
  const { paths } = apiDescription.parse((await ask().get('/openapi.json')).body);
  return Object.entries(paths).flatMap(([path, operations]) =>
    methods.flatMap((method) => {
      const operation = operations[method];
      return operation ? [{ route: `${method.toUpperCase()} ${path}`, method, path, operation }] : [];
    }),
  );
}

for (const { service, ask } of doors) {
  describe.skipIf(service === 'FrontendService' && isFrontendRestAbsent)(`${service} describes`, () => {
    it('itself in valid OpenAPI 3.1', async () => {
      const { body } = await ask().get('/openapi.json');
      const validator = new Validator();
      expect(await validator.validate(body)).toStrictEqual({ valid: true });
      expect(validator.version).toBe('3.1');
      expect(body).toMatchObject({ info: { title: service } });
    });

    it('every route that it lists, and what every process has', async () => {
      const { routes } = index.parse((await ask().get('/')).body);
      const operations = await readOperations(ask);
      expect(operations.map(({ route }) => route).toSorted()).toStrictEqual(
        [...routes, 'GET /', 'GET /healthz', 'GET /readyz', 'GET /metrics', 'GET /openapi.json'].toSorted(),
      );
      const ids = operations.map(({ operation }) => operation.operationId);
      expect(new Set(ids).size).toBe(ids.length);
    });

    it('who may call what', async () => {
      for (const { route, method, path, operation } of await readOperations(ask)) {
        const isSecured = operation.security !== undefined;
        expect('401' in operation.responses, route).toBe(
          isSecured || /login|POST \/(api\/session|sessions|token|logout)/.test(route),
        );
        if (!isSecured) continue;
        const nobody = ask()[method](path.replace('{email}', 'nobody@example.com'));
        const answer = await nobody.set('Authorization', 'none');
        expect(answer.status, route).toBe(401);
      }
    });

    it('itself to people, with files of its own', async () => {
      const { documentation } = index.parse((await ask().get('/')).body);
      const page = await ask().get(`${documentation}/`);
      expect(page.status).toBe(200);
      expect(page.headers['content-type']).toMatch(/^text\/html\b/);
      expect(page.headers['content-security-policy']).toMatch(/default-src 'none'.*script-src 'self'/);
      expect(page.headers['content-security-policy']).not.toMatch(/unsafe|http/);
      expect(page.text).not.toMatch(/https?:/);

      const files = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file = '']) => file);
      expect(files).toContain('./swagger-initializer.js');
      for (const file of files) {
        const answer = await ask().get(`${documentation}/${file.replace(/^\.\//, '')}`);
        expect(answer.status, file).toBe(200);
      }
      expect((await ask().get(`${documentation}/nothing`)).status).toBe(404);
      expect((await ask().get(`${documentation}/package.json`)).status).toBe(404);
    });
  });
}

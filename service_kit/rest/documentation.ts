import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import express, { type Express } from 'express';
import type { DescribedDoor } from './openapi.js';

/** The files of Swagger UI, which package.json names: nothing is loaded from elsewhere. */
const VIEWER_FOLDER = dirname(fileURLToPath(import.meta.resolve('swagger-ui-dist/package.json')));

/** Those of them that its page loads, and the page itself. */
const VIEWER_FILES = [
  '/',
  '/index.css',
  '/favicon-16x16.png',
  '/favicon-32x32.png',
  '/swagger-ui.css',
  '/swagger-ui-bundle.js',
  '/swagger-ui-standalone-preset.js',
];

/** What tells the viewer what to show, in place of its own file of that name, which shows an example. */
const VIEWER_START = `const viewer = SwaggerUIBundle({
  url: '../openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  displayRequestDuration: true,
  layout: 'BaseLayout',
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null,
  onComplete: () => { document.title = viewer.specSelectors.info().get('title'); },
});
`;

/** The viewer's style sheet holds pictures, as `data:` addresses; all else comes from here. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Serves the description of a door for programs at `/openapi.json`, and for people at `/docs`, where each operation can be tried. */
export function serveDocumentation(app: Express, door: () => DescribedDoor): void {
  let document: Promise<string> | undefined;
  app.get('/openapi.json', async (_request, response) => {
    // Loaded when it is first asked for: most processes never are.
    document ??= import('./openapi.js').then(({ describeDoor }) => describeDoor(door()));
    response.type('json').send(await document);
  });

  app.use('/docs', (_request, response, next) => {
    response.set({ 'Content-Security-Policy': CONTENT_SECURITY_POLICY, 'X-Content-Type-Options': 'nosniff' });
    next();
  });
  app.get('/docs/swagger-initializer.js', (_request, response) => {
    response.type('js').send(VIEWER_START);
  });
  const serveFiles = express.static(VIEWER_FOLDER);
  app.use('/docs', (request, response, next) => {
    if (VIEWER_FILES.includes(request.path)) serveFiles(request, response, next);
    else next();
  });
}

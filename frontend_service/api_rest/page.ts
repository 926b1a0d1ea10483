import { join } from 'node:path';
import express, { type RequestHandler } from 'express';
import helmet from 'helmet';

/** Where the build puts the page. */
const PAGE_FOLDER = join(import.meta.dirname, '../web');

/** Lets a browser load nothing but this door's own files, and run nothing that is not one of them. */
export const securityHeaders: RequestHandler = helmet({
  contentSecurityPolicy: {
    // Its defaults would turn plain HTTP into HTTPS, which only a proxy in front could serve.
    useDefaults: false,
    directives: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      imgSrc: ["'self'"],
      connectSrc: ["'self'"],
      workerSrc: ["'self'"],
      manifestSrc: ["'self'"],
      formAction: ["'self'"],
      baseUri: ["'none'"],
      frameAncestors: ["'none'"],
    },
  },
});

/** Has nobody on the way, nor the browser, keep what is one person's. */
export const keepPrivate: RequestHandler = (request, response, next) => {
  if (request.path.startsWith('/api/')) response.setHeader('Cache-Control', 'no-store');
  next();
};

/** Answers `/` with the page where that is what the caller would rather have than JSON. */
export const servePage: RequestHandler = (request, response, next) => {
  if (request.path !== '/' || !['GET', 'HEAD'].includes(request.method)) return next();
  response.vary('Accept');
  if (request.accepts(['json', 'html']) !== 'html') return next();
  response.sendFile('index.html', { root: PAGE_FOLDER, headers: { 'Cache-Control': 'no-cache' } });
};

/** Answers with the page's files. What is in `assets` has its content's hash in its name. */
export const servePageFiles: RequestHandler = express.static(PAGE_FOLDER, {
  index: false,
  setHeaders: (response, path) => {
    const isHashed = path.startsWith(join(PAGE_FOLDER, 'assets'));
    response.setHeader('Cache-Control', isHashed ? 'public, max-age=31536000, immutable' : 'no-cache');
  },
});

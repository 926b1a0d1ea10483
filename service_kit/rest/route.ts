import type { Request } from 'express';

/** The path of the route that was found for a request, such as `/users/:email`; undefined before one is, or where none is. */
export function routeOf(request: Request): string | undefined {
  const route: unknown = request.route;
  const isKnown = typeof route === 'object' && route !== null && 'path' in route;
  return isKnown && typeof route.path === 'string' ? route.path : undefined;
}

/** Writes a path as people and OpenAPI do: `/users/:email` as `/users/{email}`. */
export function toTemplate(path: string): string {
  return path.replace(/:(\w+)/g, '{$1}');
}

/** The challenge's own docker-compose.yml knows nothing of FrontendService's REST door. */
export const isFrontendRestAbsent = process.env['FRONTEND_REST'] === 'absent';

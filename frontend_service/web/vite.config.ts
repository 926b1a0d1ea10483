import { defineConfig } from 'vite';

export default defineConfig({
  build: {
    outDir: '../dist/web',
    emptyOutDir: true,
    // The page's policy lets nothing in but files of its own.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  worker: { format: 'es' },
  // `npx vite frontend_service/web` serves the page while it is worked on, with the services of `npm start`.
  server: { proxy: { '/api': 'http://localhost:8383' } },
});

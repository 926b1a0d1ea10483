import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type Metrics, parseMetrics } from './metrics.js';

const run = promisify(execFile);

/** Which label of a container says of which service it is. */
export type ServiceLabel = 'com.docker.compose.service' | 'com.docker.swarm.service.name';

/** Runs `docker` with these arguments. Resolves to what it prints. @throws with its errors when it fails. */
export async function docker(...args: string[]): Promise<string> {
  return (await run('docker', args)).stdout.trim();
}

/** Finds the ids of the containers of a service that run. */
export async function containersOf(
  label: ServiceLabel,
  service: string,
  project?: string,
): Promise<string[]> {
  const ofProject = project === undefined ? [] : ['--filter', `label=com.docker.compose.project=${project}`];
  const ids = await docker('ps', '--quiet', '--filter', `label=${label}=${service}`, ...ofProject);
  return ids.split('\n').filter(Boolean);
}

const PRINT_METRICS = `
  const answer = await fetch('http://127.0.0.1:' + process.env.METRICS_PORT + '/metrics');
  process.stdout.write(await answer.text());
`;

/** Asks the process in a container for its metrics, which are published nowhere. */
export async function readContainerMetrics(container: string): Promise<Metrics> {
  return parseMetrics(
    await docker('exec', container, 'node', '--input-type=module', '--eval', PRINT_METRICS),
  );
}

const OF_NOBODY = /grpc\.(health|reflection)|route="\/(healthz|readyz|metrics)?"/;

/** How many calls and requests a process has answered, other than those by which it is watched. */
export function countAnswered(metrics: Metrics): number {
  return [...metrics]
    .filter(
      ([series]) =>
        /^(grpc_server_handling|http_server_request_duration)_seconds_count/.test(series) &&
        !OF_NOBODY.test(series),
    )
    .reduce((sum, [, count]) => sum + count, 0);
}

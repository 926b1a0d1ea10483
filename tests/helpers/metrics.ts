/** What one process tells: the value of each series, by its name and labels as they are written. */
export type Metrics = ReadonlyMap<string, number>;

/** Asks a process for its metrics. @throws when it does not tell them in Prometheus' text format. */
export async function readMetrics(address: string): Promise<Metrics> {
  const response = await fetch(`http://${address}/metrics`);
  const type = response.headers.get('content-type') ?? '';
  if (response.status !== 200 || !type.startsWith('text/plain; version=0.0.4')) {
    throw new Error(`GET ${address}/metrics answered ${response.status} with ${type}`);
  }
  return parseMetrics(await response.text());
}

/** Reads what a process tells: https://prometheus.io/docs/instrumenting/exposition_formats/ */
export function parseMetrics(text: string): Metrics {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end + 1))] as const;
    }),
  );
}

/** The names of all metrics that a process tells of, without labels and what a histogram adds to its name. */
export async function readMetricNames(address: string): Promise<string[]> {
  const response = await fetch(`http://${address}/metrics`);
  const lines = (await response.text()).split('\n');
  return lines.flatMap((line) => /^# TYPE (\S+)/.exec(line)?.[1] ?? []);
}

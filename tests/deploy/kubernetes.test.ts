import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { loadConfig as loadFrontendConfig } from '../../frontend_service/dist/config.js';
import { loadConfig as loadMessageConfig } from '../../message_service/dist/config.js';
import { loadConfig as loadNotificationConfig } from '../../notification_service/dist/config.js';
import { ROOT_FOLDER, suiteProcesses } from '../../scripts/dist/suite.js';
import { loadConfig as loadUserConfig } from '../../user_service/dist/config.js';
import { openssl, TestCertificates } from '../helpers/certificates.js';
import {
  asObject,
  findFaults,
  kubectl,
  type KubernetesObject,
  makeSecrets,
  render,
} from '../helpers/kubernetes.js';
import { type End, NetworkPolicies } from '../helpers/network-policies.js';
import { TestKeys } from '../helpers/tokens.js';

/** What a stop may take besides the work under way: handing over the last spans, closing Redis. */
const LAST_THINGS_MS = 3_000;

/** Variables that others than our readers of the environment know: OpenTelemetry and Node.js. */
const STANDARD_VARIABLES = /^OTEL_|^NODE_EXTRA_CA_CERTS$/;

const loadConfigOf = {
  user_service: loadUserConfig,
  message_service: loadMessageConfig,
  notification_service: loadNotificationConfig,
  frontend_service: loadFrontendConfig,
};

const labels = z.record(z.string(), z.string());
const probe = z.looseObject({
  httpGet: z.object({ path: z.string(), port: z.string(), scheme: z.string().default('HTTP') }).optional(),
  grpc: z.object({ port: z.number() }).optional(),
  exec: z.object({ command: z.array(z.string()) }).optional(),
});
const container = z.looseObject({
  name: z.string(),
  image: z.string(),
  env: z.array(z.strictObject({ name: z.string(), value: z.string() })).default([]),
  envFrom: z
    .array(
      z.strictObject({
        configMapRef: z.strictObject({ name: z.string() }).optional(),
        secretRef: z.strictObject({ name: z.string() }).optional(),
      }),
    )
    .default([]),
  ports: z.array(z.object({ name: z.string(), containerPort: z.number() })),
  volumeMounts: z
    // No `subPath`: a file that is mounted alone would stay what it was when its Secret is replaced.
    .array(z.strictObject({ name: z.string(), mountPath: z.string(), readOnly: z.boolean().optional() }))
    .default([]),
  lifecycle: z.object({ preStop: z.object({ sleep: z.object({ seconds: z.number() }) }) }).optional(),
  startupProbe: probe,
  livenessProbe: probe,
  readinessProbe: probe,
  resources: z.object({
    requests: z.object({ cpu: z.string(), memory: z.string() }),
    limits: z.object({ memory: z.string() }),
  }),
});
const reference = z.strictObject({ name: z.string() });
const volume = z.strictObject({
  name: z.string(),
  secret: z.looseObject({ secretName: z.string() }).optional(),
  projected: z
    .looseObject({
      sources: z.array(z.strictObject({ secret: reference.optional(), configMap: reference.optional() })),
    })
    .optional(),
});
const workload = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.literal('messaging') }),
  spec: z.looseObject({
    selector: z.strictObject({ matchLabels: labels }),
    template: z.object({
      metadata: z.looseObject({ labels }),
      spec: z.looseObject({
        serviceAccountName: z.string(),
        terminationGracePeriodSeconds: z.number(),
        containers: z.tuple([container]),
        volumes: z.array(volume).default([]),
      }),
    }),
  }),
});
type Workload = z.output<typeof workload>;
const service = z.looseObject({
  metadata: z.looseObject({ name: z.string(), namespace: z.literal('messaging') }),
  spec: z.looseObject({
    clusterIP: z.string().optional(),
    selector: labels,
    ports: z.array(z.object({ port: z.number(), targetPort: z.string() })),
  }),
});
const configuration = z.looseObject({ data: z.record(z.string(), z.string()) });

/** What one variant of the deployment is, and what has to be made for it first. */
class Rendered {
  readonly workloads: Workload[];
  readonly processes: { process: (typeof suiteProcesses)[number]; deployment: Workload }[];

  constructor(
    readonly objects: KubernetesObject[],
    private readonly secrets: KubernetesObject[],
  ) {
    this.workloads = this.of('Deployment', 'StatefulSet').map((one) => workload.parse(one));
    this.processes = suiteProcesses.map((process) => {
      const name = process.name.replaceAll('_', '-');
      const deployment = this.workloads.find(({ metadata }) => metadata.name === name);
      if (!deployment) throw new Error(`there is no Deployment ${name}`);
      return { process, deployment };
    });
  }

  of(...kinds: string[]): KubernetesObject[] {
    return this.objects.filter(({ kind }) => kinds.includes(kind));
  }

  /** What a ConfigMap or Secret holds, whether it is rendered or has to be made. */
  dataOf(kind: 'ConfigMap' | 'Secret', name: string): Record<string, string> {
    const found = [...this.objects, ...this.secrets].find(
      (one) => one.kind === kind && one.metadata.name === name,
    );
    if (!found) throw new Error(`${kind} ${name} is referred to, and neither rendered nor made`);
    const { data } = configuration.parse(found);
    if (kind === 'ConfigMap') return data;
    return Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
    );
  }

  /** The environment that a workload's container gets. */
  environmentOf({ spec }: Workload): Record<string, string> {
    const { env, envFrom } = spec.template.spec.containers[0];
    const shared = envFrom.map(({ configMapRef, secretRef }) =>
      configMapRef
        ? this.dataOf('ConfigMap', configMapRef.name)
        : this.dataOf('Secret', secretRef?.name ?? ''),
    );
    const own = Object.fromEntries(env.map(({ name, value }) => [name, value]));
    return Object.assign({}, ...shared, own);
  }

  /** The files that a workload's container finds. */
  filesOf({ spec }: Workload): string[] {
    const [{ volumeMounts }] = spec.template.spec.containers;
    return volumeMounts.flatMap(({ name, mountPath }) => {
      const mounted = spec.template.spec.volumes.find((one) => one.name === name);
      if (!mounted) throw new Error(`volume ${name} is mounted, and there is none`);
      const data = [
        ...(mounted.secret ? [this.dataOf('Secret', mounted.secret.secretName)] : []),
        ...(mounted.projected?.sources ?? []).map(({ secret, configMap }) =>
          secret ? this.dataOf('Secret', secret.name) : this.dataOf('ConfigMap', configMap?.name ?? ''),
        ),
      ];
      return data.flatMap((files) => Object.keys(files)).map((file) => join(mountPath, file));
    });
  }
}

function endOf({ spec }: Workload): Required<Pick<End, 'pod' | 'ports'>> {
  const { metadata, spec: pod } = spec.template;
  const ports = pod.containers[0].ports.map(({ name, containerPort }) => [name, containerPort] as const);
  return { pod: metadata.labels, ports: new Map(ports) };
}

function isSelectedBy(selected: Record<string, string>, { spec }: Workload): boolean {
  return Object.entries(selected).every(([key, value]) => spec.template.metadata.labels[key] === value);
}

/** The variables that a service's reader of the environment names. */
async function readVariables(name: keyof typeof loadConfigOf): Promise<Set<string>> {
  const sources = await Promise.all(
    ['service_kit/config.ts', `${name}/config.ts`].map(async (file) =>
      readFile(join(ROOT_FOLDER, file), 'utf8'),
    ),
  );
  return new Set(
    [...sources.join('\n').matchAll(/^ +([A-Z][A-Z0-9_]+): variable\./gm)].map(([, found]) => found ?? ''),
  );
}

/** How a process is asked whether it can serve: the gRPC probe of Kubernetes knows no TLS. */
function readinessOf({ door, port }: (typeof suiteProcesses)[number], scheme: 'HTTP' | 'HTTPS') {
  if (door === 'api_rest') return { httpGet: { path: '/readyz', port: 'rest', scheme } };
  return scheme === 'HTTP' ? { grpc: { port } } : { exec: { command: ['node', 'door/healthcheck.js'] } };
}

const variants = [
  { name: 'small', overlay: 'small', components: [] },
  { name: 'production', overlay: 'production', components: [] },
  { name: 'production with TLS and the page', overlay: 'production', components: ['tls', 'ingress'] },
];

// To install one: sh scripts/get-kubectl.sh .tools
describe.skipIf(kubectl === undefined || openssl === undefined)('deploy/kubernetes', () => {
  let keys: TestKeys;
  let certificates: TestCertificates;
  let redisFolder: string;
  let secrets: KubernetesObject[];
  let rendered: Map<string, Rendered>;

  beforeAll(async () => {
    [keys, certificates] = await Promise.all([TestKeys.make(), TestCertificates.make()]);
    redisFolder = await mkdtemp(join(tmpdir(), 'messaging-redis-'));
    for (const name of Object.keys(loadConfigOf)) {
      const lines = [
        `REDIS_HOST=redis.example.com`,
        `REDIS_USERNAME=${name}`,
        `REDIS_PASSWORD=a-secret-of-${name}`,
      ];
      await writeFile(join(redisFolder, `${name}.env`), `${lines.join('\n')}\n`);
    }
    secrets = await makeSecrets([keys.servicesFolder, redisFolder, certificates.madeFolder]);
    rendered = new Map();
    for (const { name, overlay, components } of variants) {
      const forIt = overlay === 'small' ? [] : secrets;
      rendered.set(name, new Rendered(await render(overlay, components), forIt));
    }
  });

  afterAll(async () => {
    for (const folder of [keys.folder, certificates.folder, redisFolder]) {
      await rm(folder, { recursive: true });
    }
  });

  function renderedAs(name: string): Rendered {
    const found = rendered.get(name);
    if (!found) throw new Error(`${name} was not rendered`);
    return found;
  }

  test("everything is as the API's schemas have it", async () => {
    const all = [...rendered.values()].flatMap(({ objects }) => objects);
    expect(all.length).toBeGreaterThan(100);
    expect(await findFaults(all)).toEqual([]);
  });

  test('a field that the schemas do not know, or know otherwise, is found', async () => {
    const [good] = renderedAs('small').of('Deployment');
    const text = JSON.stringify(good);
    const mistakes = [
      { is: '"livenessProbe"', becomes: '"livenessProbes"' },
      { is: '"enableServiceLinks"', becomes: '"enableServiceLink"' },
      { is: '"containerPort":9464', becomes: '"containerPort":"9464"' },
      { is: '"ScheduleAnyway"', becomes: '"Whenever"' },
      { is: '"matchLabelKeys":', becomes: '"matchLabels":' },
      { is: '"template":', becomes: '"templates":' },
      { is: '"Deployment"', becomes: '"Deploymnet"' },
      { is: '"apps/v1"', becomes: '"apps/v1beta1"' },
    ];
    const broken = mistakes.map(({ is, becomes }, index) => {
      expect(text).toContain(is);
      return asObject(
        JSON.parse(text.replace(is, becomes).replaceAll(good?.metadata.name ?? '', `broken-${index}`)),
      );
    });
    const faults = await findFaults(broken);
    for (const one of broken) {
      expect(faults).toContainEqual(expect.stringContaining(one.metadata.name));
    }
  });

  describe.each(variants)('$name', ({ name, overlay, components }) => {
    let deployment: Rendered;

    beforeAll(() => {
      deployment = renderedAs(name);
    });

    test('every process is an image of its own, on the ports of the contract', () => {
      for (const { process, deployment: own } of deployment.processes) {
        const [{ image, ports }] = own.spec.template.spec.containers;
        expect(image).toMatch(new RegExp(`/${own.metadata.name}:\\w+$`));
        const door = process.door === 'grpc' ? 'grpc' : 'rest';
        expect(Object.fromEntries(ports.map((port) => [port.name, port.containerPort]))).toEqual({
          [door]: process.port,
          metrics: 9464,
        });
        const { restPort, grpcPort, metricsPort } = loadConfigOf[process.service](
          deployment.environmentOf(own),
        );
        expect(process.door === 'grpc' ? grpcPort : restPort).toBe(process.port);
        expect(metricsPort).toBe(9464);
      }
      expect(deployment.of('Deployment')).toHaveLength(suiteProcesses.length);
    });

    test('every process is told only what it knows, and finds each file that it is told of', async () => {
      for (const { process, deployment: own } of deployment.processes) {
        const known = await readVariables(process.service);
        const environment = deployment.environmentOf(own);
        const unknown = Object.keys(environment).filter(
          (variable) => !known.has(variable) && !STANDARD_VARIABLES.test(variable),
        );
        expect(unknown, own.metadata.name).toEqual([]);
        const files = Object.values(environment).filter((value) => value.startsWith('/'));
        expect(deployment.filesOf(own), own.metadata.name).toEqual(expect.arrayContaining(files));
        const { access, tls } = loadConfigOf[process.service](environment);
        expect(access.mode).toBe(overlay === 'small' ? 'open' : 'required');
        expect(tls !== undefined).toBe(components.includes('tls'));
      }
    });

    test('no process gets the key, the certificate or the Redis user of another service', () => {
      for (const { process, deployment: own } of deployment.processes) {
        const others = Object.keys(loadConfigOf)
          .filter((other) => other !== process.service)
          .map((other) => other.replace('_', '-'));
        const text = JSON.stringify(own.spec.template.spec);
        for (const other of others) expect(text).not.toMatch(new RegExp(`${other}-(key|redis|certificates)`));
      }
    });

    test('every selector selects what it is for, and nothing else', () => {
      const { workloads } = deployment;
      const selected = (matchLabels: Record<string, string>) =>
        workloads.filter((one) => isSelectedBy(matchLabels, one)).map(({ metadata }) => metadata.name);
      for (const { metadata, spec } of workloads) {
        expect(selected(spec.selector.matchLabels)).toEqual([metadata.name]);
      }
      const services = deployment.of('Service').map((one) => service.parse(one));
      expect(services.map(({ metadata }) => metadata.name).toSorted()).toEqual(
        workloads.map(({ metadata }) => metadata.name).toSorted(),
      );
      for (const { metadata, spec } of services) {
        expect(selected(spec.selector)).toEqual([metadata.name]);
        const [own] = workloads.filter((one) => one.metadata.name === metadata.name);
        const ports = own ? endOf(own).ports : new Map<string, number>();
        for (const { port, targetPort } of spec.ports) expect(ports.get(targetPort)).toBe(port);
        // All pods behind one name, or one address for all of them.
        expect(spec.clusterIP).toBe(metadata.name.endsWith('-grpc') ? 'None' : undefined);
      }
    });

    test('names and labels are of the kind that Kubernetes takes', () => {
      for (const { metadata } of deployment.objects) {
        expect(metadata.name).toMatch(/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/);
        for (const [key, value] of Object.entries(labels.parse(metadata['labels'] ?? {}))) {
          expect(key).toMatch(/^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9][-\w.]{0,62}$/);
          expect(value).toMatch(/^([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?$/);
        }
      }
      for (const own of deployment.workloads) {
        for (const port of endOf(own).ports.keys()) expect(port).toMatch(/^[a-z]{1,15}$/);
      }
    });

    test('accounts are there, and nobody else sees their tokens', () => {
      const accounts = deployment.of('ServiceAccount').map(({ metadata }) => metadata.name);
      for (const { spec } of deployment.workloads) {
        const { serviceAccountName, ...pod } = spec.template.spec;
        expect(accounts).toContain(serviceAccountName);
        expect(pod).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
      }
    });

    test('nothing has more rights than it needs', () => {
      for (const { spec } of deployment.workloads) {
        const { containers, ...pod } = spec.template.spec;
        expect(pod).toMatchObject({
          securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
        });
        expect(containers[0]).toMatchObject({
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
        });
      }
    });

    test('probes ask at ports that are there, and a process that lacks Redis is not restarted', () => {
      for (const { process, deployment: own } of deployment.processes) {
        const [{ startupProbe, livenessProbe, readinessProbe }] = own.spec.template.spec.containers;
        const { ports } = endOf(own);
        const scheme = components.includes('tls') ? 'HTTPS' : 'HTTP';
        for (const { httpGet } of [startupProbe, livenessProbe]) {
          expect(httpGet).toMatchObject({ path: '/healthz', scheme });
          expect([...ports.keys()]).toContain(httpGet?.port);
        }
        const { httpGet, grpc, exec } = readinessProbe;
        expect({ httpGet, grpc, exec }).toEqual(readinessOf(process, scheme));
      }
    });

    test('a pod is killed only when its work must have ended', () => {
      for (const { process, deployment: own } of deployment.processes) {
        const { terminationGracePeriodSeconds, containers } = own.spec.template.spec;
        const { shutdownGraceMs } = loadConfigOf[process.service](deployment.environmentOf(own));
        const sleepMs = (containers[0].lifecycle?.preStop.sleep.seconds ?? 0) * 1_000;
        expect(sleepMs).toBeGreaterThan(0);
        expect(terminationGracePeriodSeconds * 1_000).toBeGreaterThanOrEqual(
          sleepMs + shutdownGraceMs + LAST_THINGS_MS,
        );
      }
    });

    test('processes may call those whom they are told of, and nobody else', () => {
      const policies = new NetworkPolicies(deployment.objects);
      const letOut: string[] = [];
      const letIn: string[] = [];
      const needed: string[] = [];
      for (const { deployment: caller } of deployment.processes) {
        const from = endOf(caller);
        const told = Object.entries(deployment.environmentOf(caller))
          .filter(([variable]) => variable.endsWith('_ADDRESS'))
          .map(([, address]) => address);
        needed.push(...told.map((address) => `${caller.metadata.name} → ${address}`));
        for (const { deployment: called } of deployment.processes) {
          const to = endOf(called);
          for (const port of to.ports.values()) {
            const arrow = `${caller.metadata.name} → ${called.metadata.name}:${port}`;
            if (policies.letsOut(from, to, port)) letOut.push(arrow);
            if (policies.letsIn(from, to, port)) letIn.push(arrow);
          }
        }
      }
      expect(needed.length).toBeGreaterThan(suiteProcesses.length);
      expect(letOut.toSorted()).toEqual(needed.toSorted());
      expect(letIn.toSorted()).toEqual(needed.toSorted());
    });

    test('Redis is reached by those that use it, and names by all', () => {
      const policies = new NetworkPolicies(deployment.objects);
      const redis = deployment.workloads.find(({ metadata }) => metadata.name === 'redis');
      const toRedis = redis ? endOf(redis) : {};
      const kubeSystem = { namespace: { 'kubernetes.io/metadata.name': 'kube-system' } };
      for (const { process, deployment: own } of deployment.processes) {
        // The page stores nothing, and the feed tells it what others have published.
        const usesRedis = process.name !== 'frontend_service_api';
        expect(policies.allow(endOf(own), toRedis, 6379), process.name).toBe(usesRedis);
        expect(policies.allow(endOf(own), kubeSystem, 53), process.name).toBe(true);
        expect(policies.allow(endOf(own), {}, 443), process.name).toBe(false);
      }
    });

    test('outsiders reach what their namespace has the label for', () => {
      const policies = new NetworkPolicies(deployment.objects);
      const reachedFrom = (namespace: Record<string, string>) =>
        deployment.workloads.flatMap((called) => {
          const to = endOf(called);
          return [...to.ports]
            .filter(([, number]) => policies.allow({ namespace }, to, number))
            .map(([port]) => `${called.metadata.name} ${port}`);
        });
      const doors = deployment.processes
        .filter(({ process }) => process.name !== 'frontend_service_api')
        .map(
          ({ process, deployment: own }) =>
            `${own.metadata.name} ${process.door === 'grpc' ? 'grpc' : 'rest'}`,
        );
      expect(reachedFrom({ 'kubernetes.io/metadata.name': 'elsewhere' })).toEqual([]);
      expect(reachedFrom({ 'messaging-suite/page': 'allowed' })).toEqual(['frontend-service-api rest']);
      expect(reachedFrom({ 'messaging-suite/doors': 'allowed' }).toSorted()).toEqual(doors.toSorted());
      expect(reachedFrom({ 'messaging-suite/metrics': 'allowed' }).toSorted()).toEqual(
        deployment.processes.map(({ deployment: own }) => `${own.metadata.name} metrics`).toSorted(),
      );
    });
  });

  test.each(variants.filter(({ overlay }) => overlay === 'production'))(
    'each process grows with its load, and gives way one pod at a time: $name',
    ({ name }) => {
      const deployment = renderedAs(name);
      const names = deployment.processes.map(({ deployment: own }) => own.metadata.name).toSorted();
      const budget = z.looseObject({
        spec: z.looseObject({ selector: z.strictObject({ matchLabels: labels }) }),
      });
      const budgets = deployment.of('PodDisruptionBudget').map((one) => {
        const { matchLabels } = budget.parse(one).spec.selector;
        return deployment.workloads
          .filter((own) => isSelectedBy(matchLabels, own))
          .map(({ metadata }) => metadata.name);
      });
      expect(budgets.map(String).toSorted()).toEqual(names);
      const scaler = z.looseObject({
        spec: z.looseObject({
          scaleTargetRef: z.looseObject({ kind: z.literal('Deployment'), name: z.string() }),
        }),
      });
      const scaled = deployment
        .of('HorizontalPodAutoscaler')
        .map((one) => scaler.parse(one).spec.scaleTargetRef.name);
      expect(scaled.toSorted()).toEqual(names);
      // Else each `kubectl apply` would take back what the autoscaler has decided.
      for (const { spec } of deployment.workloads) expect(spec['replicas']).toBeUndefined();
    },
  );
});

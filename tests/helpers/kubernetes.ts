import { execFile, execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { Deployment, StatefulSet } from 'kubernetes-models/apps/v1';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import { Ingress, NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { ConfigMap, Namespace, Secret, Service, ServiceAccount } from 'kubernetes-models/v1';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { ROOT_FOLDER } from '../../scripts/dist/suite.js';
import { findOnPath } from './programs.js';

const run = promisify(execFile);

/** Any object of Kubernetes' API. */
const object = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
});
export type KubernetesObject = z.output<typeof object>;

/** Takes what was read for an object of Kubernetes' API, whatever else it says. */
export function asObject(read: unknown): KubernetesObject {
  return object.parse(read);
}

/** The kinds that are used here, and where the package has each. */
const kinds = {
  ConfigMap: { path: 'v1', Model: ConfigMap },
  Namespace: { path: 'v1', Model: Namespace },
  Secret: { path: 'v1', Model: Secret },
  Service: { path: 'v1', Model: Service },
  ServiceAccount: { path: 'v1', Model: ServiceAccount },
  Deployment: { path: 'apps/v1', Model: Deployment },
  StatefulSet: { path: 'apps/v1', Model: StatefulSet },
  HorizontalPodAutoscaler: { path: 'autoscaling/v2', Model: HorizontalPodAutoscaler },
  Ingress: { path: 'networking.k8s.io/v1', Model: Ingress },
  NetworkPolicy: { path: 'networking.k8s.io/v1', Model: NetworkPolicy },
  PodDisruptionBudget: { path: 'policy/v1', Model: PodDisruptionBudget },
};
const kindName = z.enum([
  'ConfigMap',
  'Namespace',
  'Secret',
  'Service',
  'ServiceAccount',
  'Deployment',
  'StatefulSet',
  'HorizontalPodAutoscaler',
  'Ingress',
  'NetworkPolicy',
  'PodDisruptionBudget',
]);

/** A kubectl that renders our manifests; undefined where there is none, or one that is too old. */
export const kubectl = [join(ROOT_FOLDER, '.tools/kubectl'), findOnPath(['kubectl'])].find(canRender);

function canRender(program: string | undefined): program is string {
  if (program === undefined) return false;
  try {
    const version = execFileSync(program, ['version', '--client'], { encoding: 'utf8', stdio: 'pipe' });
    return /Kustomize Version: v([5-9]|\d{2})/.test(version);
  } catch {
    return false;
  }
}

/** Runs kubectl, or a script that calls it, as somebody would who has no cluster. */
async function runWithKubectl(program: string, args: string[]): Promise<KubernetesObject[]> {
  if (kubectl === undefined) throw new Error('there is no kubectl');
  const { stdout } = await run(program, args, {
    cwd: ROOT_FOLDER,
    env: { PATH: [dirname(kubectl), process.env['PATH']].join(delimiter), KUBECONFIG: '/dev/null' },
    maxBuffer: 16 * 1024 * 1024,
  });
  return parseAllDocuments(stdout).map((document) => asObject(document.toJS()));
}

/** Renders an overlay of deploy/kubernetes, with these components added to it. */
export async function render(overlay: string, components: string[] = []): Promise<KubernetesObject[]> {
  const folder = await mkdtemp(join(tmpdir(), 'messaging-kubernetes-'));
  try {
    const pathOf = (name: string) => relative(folder, join(ROOT_FOLDER, 'deploy/kubernetes', name));
    const kustomization = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: [pathOf(`overlays/${overlay}`)],
      components: components.map((name) => pathOf(`components/${name}`)),
    };
    await writeFile(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
    return await runWithKubectl('kubectl', ['kustomize', folder]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Has deploy/kubernetes/make-secrets.sh make what the overlays refer to and do not bring along. */
export async function makeSecrets(folders: string[]): Promise<KubernetesObject[]> {
  return runWithKubectl('sh', ['deploy/kubernetes/make-secrets.sh', ...folders]);
}

/**
 * Holds objects against the API's schemas, and tells what is wrong with them. kubernetes-models is made of the API's OpenAPI
 * document, twice: its validators know what is required, of which type and format; its types know, besides, which fields there
 * are, so that the compiler finds what is misspelled.
 */
export async function findFaults(objects: KubernetesObject[]): Promise<string[]> {
  return [...objects.flatMap(findInvalid), ...(await compile(objects))];
}

function findInvalid(described: KubernetesObject): string[] {
  const name = nameOf(described);
  const kind = kindName.safeParse(described.kind).data;
  if (kind === undefined) return [`${name}: there is no schema of it in tests/helpers/kubernetes.ts`];
  try {
    const { Model } = kinds[kind];
    Object.assign(new Model(), described).validate();
    return [];
  } catch (error) {
    return [`${name}: ${error instanceof Error ? error.message : String(error)}`];
  }
}

/** Tells what TypeScript says of the objects, each as a constant of the type that it claims to be. */
async function compile(objects: KubernetesObject[]): Promise<string[]> {
  const known = objects.filter(({ kind }) => kindName.safeParse(kind).success);
  const lines = known.map((described) => {
    const kind = kindName.parse(described.kind);
    const type = `import('kubernetes-models/${kinds[kind].path}').I${kind}`;
    return `export const _${known.indexOf(described)}: ${type} = ${JSON.stringify(described)};`;
  });
  // Where the compiler finds the package.
  const cache = join(ROOT_FOLDER, 'node_modules/.cache');
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, 'kubernetes-'));
  try {
    await writeFile(join(folder, 'objects.ts'), lines.join('\n'));
    const flags = ['--noEmit', '--strict', '--skipLibCheck', '--ignoreConfig', '--pretty', 'false'];
    const compiler = join(ROOT_FOLDER, 'node_modules/.bin/tsc');
    await run(compiler, [...flags, '--module', 'nodenext', '--types', '', 'objects.ts'], { cwd: folder });
    return [];
  } catch (error) {
    const { stdout } = z.object({ stdout: z.string() }).parse(error);
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const described = known[Number(/^objects\.ts\((\d+)/.exec(line)?.[1]) - 1];
        return `${described ? nameOf(described) : ''}: ${line.replace(/^objects\.ts\S* /, '')}`;
      });
  } finally {
    await rm(folder, { recursive: true });
  }
}

function nameOf({ kind, metadata }: KubernetesObject): string {
  return `${kind} ${metadata.name}`;
}

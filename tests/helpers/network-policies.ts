import { z } from 'zod';
import type { KubernetesObject } from './kubernetes.js';

const labels = z.record(z.string(), z.string());
type Labels = z.output<typeof labels>;

/** Only what our manifests use of it: anything else fails to be parsed, rather than to be taken for something. */
const selector = z.strictObject({
  matchLabels: labels.default({}),
  matchExpressions: z
    .array(z.strictObject({ key: z.string(), operator: z.literal('In'), values: z.array(z.string()) }))
    .default([]),
});
const peer = z.strictObject({
  podSelector: selector.optional(),
  namespaceSelector: selector.optional(),
  ipBlock: z.strictObject({ cidr: z.string() }).optional(),
});
const port = z.strictObject({
  port: z.union([z.number(), z.string()]),
  protocol: z.enum(['TCP', 'UDP']).default('TCP'),
});
const networkPolicy = z.looseObject({
  spec: z.strictObject({
    podSelector: selector,
    policyTypes: z.array(z.enum(['Ingress', 'Egress'])),
    ingress: z.array(z.strictObject({ from: z.array(peer), ports: z.array(port) })).default([]),
    egress: z.array(z.strictObject({ to: z.array(peer), ports: z.array(port) })).default([]),
  }),
});

/** One end of a connection: a pod of our namespace, or something elsewhere. */
export interface End {
  /** Labels of a pod; undefined for what is no pod of the namespace. */
  pod?: Labels | undefined;
  /** Labels of another namespace. */
  namespace?: Labels;
  /** Its named ports. */
  ports?: ReadonlyMap<string, number>;
}

/** Tells, as a network that enforces them would, who may call whom under the NetworkPolicies of one namespace. */
export class NetworkPolicies {
  readonly #policies: z.output<typeof networkPolicy>[];

  constructor(objects: KubernetesObject[]) {
    this.#policies = objects
      .filter(({ kind }) => kind === 'NetworkPolicy')
      .map((object) => networkPolicy.parse(object));
  }

  /** Whether a connection comes about: it takes both. */
  allow(from: End, to: End, number: number): boolean {
    return this.letsOut(from, to, number) && this.letsIn(from, to, number);
  }

  /** Whether it is let out where it begins. */
  letsOut(from: End, to: End, number: number): boolean {
    const applying = this.#applyingTo(from, 'Egress');
    if (applying.length === 0) return true;
    return applying.some(({ spec }) =>
      spec.egress.some((rule) => rule.to.some((one) => isPeer(one, to)) && hasPort(rule.ports, to, number)),
    );
  }

  /** Whether it is let in where it ends. */
  letsIn(from: End, to: End, number: number): boolean {
    const applying = this.#applyingTo(to, 'Ingress');
    if (applying.length === 0) return true;
    return applying.some(({ spec }) =>
      spec.ingress.some(
        (rule) => rule.from.some((one) => isPeer(one, from)) && hasPort(rule.ports, to, number),
      ),
    );
  }

  #applyingTo({ pod }: End, type: 'Ingress' | 'Egress') {
    if (pod === undefined) return [];
    return this.#policies.filter(
      ({ spec }) => spec.policyTypes.includes(type) && isSelected(spec.podSelector, pod),
    );
  }
}

function isPeer({ podSelector, namespaceSelector, ipBlock }: z.output<typeof peer>, end: End): boolean {
  if (namespaceSelector)
    return end.namespace !== undefined && isSelected(namespaceSelector, end.namespace) && !podSelector;
  if (podSelector) return end.pod !== undefined && isSelected(podSelector, end.pod);
  // What is neither in this namespace nor in one with labels is somewhere out there.
  return ipBlock?.cidr === '0.0.0.0/0' && end.pod === undefined && end.namespace === undefined;
}

function hasPort(ports: z.output<typeof port>[], to: End, number: number): boolean {
  return ports.some(
    ({ port: allowed }) => (typeof allowed === 'string' ? to.ports?.get(allowed) : allowed) === number,
  );
}

/** Whether labels are those that a selector asks for. */
function isSelected({ matchLabels, matchExpressions }: z.output<typeof selector>, has: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => has[key] === value) &&
    matchExpressions.every(({ key, values }) => values.includes(has[key] ?? ''))
  );
}

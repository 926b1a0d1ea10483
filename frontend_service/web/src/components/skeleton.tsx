import { t } from '../i18n/index.js';

/** The outline of a list that is being loaded. */
export function Skeleton({ kind, count }: { kind: 'row' | 'bubble'; count: number }) {
  return (
    <div class={`skeletons skeletons-${kind}`}>
      <span class="visually-hidden">{t.loading}</span>
      {Array.from({ length: count }, (_, index) => (
        <span key={index} class="skeleton" aria-hidden="true" />
      ))}
    </div>
  );
}

/**
 * Makes a function that runs `work` once at a time: asked for again meanwhile, it runs once more afterwards. So an older
 * answer never comes after a newer one, and many wishes cost two runs. Resolves when what was wished for has been done.
 */
export function serialize(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const run = async () => {
    try {
      await work();
    } finally {
      running = undefined;
    }
  };
  return () => {
    if (!running) return (running = run());
    next ??= running
      .catch(() => {})
      .then(() => {
        next = undefined;
        return (running = run());
      });
    return next;
  };
}

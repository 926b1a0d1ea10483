const HUES = 8;

/** A person's sign: the beginning of the address, on a ground that is the same wherever that person appears. */
export function Avatar({ email }: { email: string }) {
  const [initial = '?'] = email;
  const hue = new TextEncoder().encode(email).reduce((sum, byte) => sum + byte, 0) % HUES;
  return (
    <span class={`avatar hue-${hue}`} aria-hidden="true">
      {initial.toUpperCase()}
    </span>
  );
}

/** As many as styles/avatar.css has. */
const COLOUR_COUNT = 8;

/** Stands for a person: initials on a colour, both always the same for the same email. */
export function Avatar({ email }: { email: string }) {
  return (
    <span class="avatar" data-colour={colourOf(email)} aria-hidden="true">
      {initialsOf(email)}
    </span>
  );
}

function initialsOf(email: string): string {
  const words = email.replace(/@.*/u, '').match(/[\p{L}\p{N}]+/gu) ?? [email];
  return words
    .slice(0, 2)
    .map((word) => word.match(/^./u)?.[0] ?? '')
    .join('')
    .toUpperCase();
}

function colourOf(email: string): number {
  let hash = 0;
  for (const character of email) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 1_000_003;
  return hash % COLOUR_COUNT;
}

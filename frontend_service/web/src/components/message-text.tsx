const LINK = /(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]])/u;

/** What somebody wrote: text, whatever it looks like, but for addresses that begin with http:// or https://. */
export function MessageText({ content }: { content: string }) {
  // Split by a pattern with one group, every other part is what the group matched.
  const parts = content.split(LINK);
  return (
    <p class="bubble" dir="auto">
      {parts.map((part, index) =>
        index % 2 === 0 ? (
          part
        ) : (
          <a key={index} href={part} target="_blank" rel="noopener noreferrer nofollow">
            {part}
          </a>
        ),
      )}
    </p>
  );
}

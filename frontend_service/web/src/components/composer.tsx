import type { RefObject } from 'preact';
import { useId, useLayoutEffect } from 'preact/hooks';
import { t } from '../i18n/index.js';
import type { Thread } from '../state/thread.js';
import { Icon } from './icon.js';

const MAX_BYTES = 65_536;
/** From here on the writer should know. */
const HINT_BYTES = 60_000;

/** The code of keys that go to an input method. */
const COMPOSING = 229;

const encoder = new TextEncoder();
/** No character takes more than three bytes a unit: most drafts need not be counted. */
const bytesOf = (text: string) => (text.length * 3 < HINT_BYTES ? 0 : encoder.encode(text).length);

/** Where a message is written. */
export function Composer({
  thread,
  input,
}: {
  thread: Thread;
  input: RefObject<HTMLTextAreaElement | null>;
}) {
  const hintId = useId();
  const draft = thread.draft.value;
  const bytes = bytesOf(draft);
  const isTooLong = bytes > MAX_BYTES;
  const canSend = draft.trim() !== '' && !isTooLong;

  useLayoutEffect(() => {
    const element = input.current;
    if (!element) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight}px`;
  }, [draft, input]);

  const send = () => {
    if (!canSend) return;
    thread.send(draft);
    thread.draft.value = '';
    input.current?.focus();
  };

  const onKeyDown = (event: KeyboardEvent) => {
    // Enter also ends the choice of a character in many languages; Safari has then ended composing just before.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === COMPOSING) return;
    event.preventDefault();
    if (!event.repeat) send();
  };

  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    send();
  };

  return (
    <form class="composer" onSubmit={onSubmit}>
      <textarea
        ref={input}
        rows={1}
        dir="auto"
        aria-label={t.message}
        aria-describedby={hintId}
        aria-invalid={isTooLong}
        placeholder={t.messagePlaceholder}
        enterkeyhint="send"
        value={draft}
        onInput={(event) => (thread.draft.value = event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <button type="submit" class="button primary icon-button" aria-label={t.send} disabled={!canSend}>
        <Icon name="send" />
      </button>
      <p id={hintId} class="composer-hint" role="status" data-problem={isTooLong}>
        {bytes > HINT_BYTES &&
          (isTooLong ? t.bytesTooMany(bytes - MAX_BYTES) : t.bytesLeft(MAX_BYTES - bytes))}
      </p>
    </form>
  );
}

import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ThreadItem } from '../state/thread.js';

/** So close to the end counts as there. */
const NEAR_END_PX = 48;
/** So close to the beginning older messages are wanted. */
const NEAR_START_PX = 300;

interface LogScroll {
  /** Whether something arrived below of what the reader looks at. */
  hasNews: boolean;
  isAtEnd: boolean;
  onScroll: () => void;
  scrollToEnd: () => void;
}

/**
 * Keeps a log where its reader wants it: at the end as long as they are there, and else on the messages that they look
 * at, whatever is added above or below.
 *
 * @param onNearStart called when older messages are wanted
 */
export function useLogScroll(
  log: RefObject<HTMLElement | null>,
  items: readonly ThreadItem[],
  onNearStart: () => void,
): LogScroll {
  const [isAtEnd, setIsAtEnd] = useState(true);
  const [hasNews, setHasNews] = useState(false);
  const before = useRef({ isAtEnd: true, height: 0, firstKey: '', lastKey: '' });

  const onScroll = () => {
    const element = log.current;
    if (!element) return;
    const isNowAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight <= NEAR_END_PX;
    before.current.isAtEnd = isNowAtEnd;
    setIsAtEnd(isNowAtEnd);
    if (isNowAtEnd) setHasNews(false);
    if (element.scrollTop < NEAR_START_PX) onNearStart();
  };

  useLayoutEffect(() => {
    const element = log.current;
    if (!element) return;
    const last = items.at(-1);
    const now = { height: element.scrollHeight, firstKey: items[0]?.key ?? '', lastKey: last?.key ?? '' };
    const { isAtEnd: wasAtEnd, height, firstKey, lastKey } = before.current;
    const isNew = now.lastKey !== lastKey;
    if (wasAtEnd || (isNew && last && last.state !== 'sent')) scrollToEnd(element);
    else {
      if (now.firstKey !== firstKey) element.scrollTop += now.height - height;
      if (isNew && last && !last.isMine) setHasNews(true);
    }
    before.current = { ...before.current, ...now };
    // What does not fill the screen cannot be scrolled to its beginning.
    if (element.scrollHeight <= element.clientHeight + NEAR_START_PX) onNearStart();
  }, [items, log, onNearStart]);

  useEffect(() => {
    const element = log.current;
    if (!element) return undefined;
    // A keyboard that opens, or a draft that grows, must not hide the end.
    const observer = new ResizeObserver(() => {
      if (before.current.isAtEnd) scrollToEnd(element);
      before.current.height = element.scrollHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [log]);

  return { hasNews, isAtEnd, onScroll, scrollToEnd: () => log.current && scrollToEnd(log.current) };
}

function scrollToEnd(element: HTMLElement): void {
  element.scrollTop = element.scrollHeight;
}

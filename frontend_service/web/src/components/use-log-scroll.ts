import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ThreadItem } from '../state/thread.js';

/** So close to the end counts as there. */
const NEAR_END_PX = 48;
/** So close to the beginning older messages are wanted. */
const NEAR_START_PX = 300;

interface LogScroll {
  /** Whether something arrived below what the reader looks at. */
  hasNews: boolean;
  isAtEnd: boolean;
  onScroll: () => void;
  scrollToEnd: () => void;
}

/** What the reader looks at. */
interface Place {
  isAtEnd: boolean;
  /** The first message in view, and where in the log it is. */
  anchor?: HTMLElement | undefined;
  anchorTop: number;
}

/**
 * Keeps a log where its reader wants it: at the end as long as they are there, and else on the messages that they look
 * at, whatever is added above or below.
 *
 * @param log the element that scrolls
 * @param onNearStart called when older messages are wanted
 */
export function useLogScroll(
  log: RefObject<HTMLElement | null>,
  items: readonly ThreadItem[],
  onNearStart: () => void,
): LogScroll {
  const [isAtEnd, setIsAtEnd] = useState(true);
  const [hasNews, setHasNews] = useState(false);
  const place = useRef<Place>({ isAtEnd: true, anchorTop: 0 });
  const lastKey = useRef('');

  const onScroll = () => {
    const element = log.current;
    if (!element) return;
    place.current = placeOf(element);
    setIsAtEnd(place.current.isAtEnd);
    if (place.current.isAtEnd) setHasNews(false);
    if (element.scrollTop < NEAR_START_PX) onNearStart();
  };

  useLayoutEffect(() => {
    const element = log.current;
    if (!element) return;
    const last = items.at(-1);
    const isNew = last !== undefined && last.key !== lastKey.current;
    lastKey.current = last?.key ?? '';
    // Who sends something wants to see it.
    if (isNew && last.state === 'pending') place.current.isAtEnd = true;
    else if (isNew && !last.isMine && !place.current.isAtEnd) setHasNews(true);
  }, [items, log]);

  // After each rendering: what changes above the messages moves them as well.
  useLayoutEffect(() => {
    const element = log.current;
    if (!element) return;
    returnTo(element, place.current);
    // What does not fill the screen cannot be scrolled to its beginning.
    if (element.scrollHeight <= element.clientHeight + NEAR_START_PX) onNearStart();
  });

  useEffect(() => {
    const element = log.current;
    if (!element) return undefined;
    // A keyboard that opens, or a draft that grows, must not hide the end.
    const observer = new ResizeObserver(() => returnTo(element, place.current));
    observer.observe(element);
    return () => observer.disconnect();
  }, [log]);

  return { hasNews, isAtEnd, onScroll, scrollToEnd: () => log.current && scrollToEnd(log.current) };
}

function scrollToEnd(log: HTMLElement): void {
  log.scrollTop = log.scrollHeight;
}

function returnTo(log: HTMLElement, place: Place): void {
  if (place.isAtEnd) scrollToEnd(log);
  else if (place.anchor?.isConnected) {
    log.scrollTop += place.anchor.offsetTop - place.anchorTop;
    place.anchorTop = place.anchor.offsetTop;
  }
}

function placeOf(log: HTMLElement): Place {
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight <= NEAR_END_PX;
  const anchor = findFirstInView(log);
  return { isAtEnd, anchor, anchorTop: anchor?.offsetTop ?? 0 };
}

/** There may be thousands, and this happens with every step of the wheel: it halves them. */
function findFirstInView(log: HTMLElement): HTMLElement | undefined {
  // Not the days: the first of them stays the first when older messages of that day come.
  const items = log.querySelectorAll<HTMLElement>('.message');
  let [first, end] = [0, items.length];
  while (first < end) {
    const middle = (first + end) >> 1;
    const item = items[middle];
    if (item && item.offsetTop + item.offsetHeight <= log.scrollTop) first = middle + 1;
    else end = middle;
  }
  return items[first];
}
